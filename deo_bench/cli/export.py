"""`deo-bench export`: a run's student as a folder that can leave the store."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deo_bench.cli.arguments import STORE, DataOption, PartsOption, StoreOption
from deo_bench.errors import MissingInput, UserError

if TYPE_CHECKING:
    from deo_bench.experiments.sides import Side
    from deo_bench.store import Run

FILES = ("README.md", "recipe.json", "student.safetensors")
"""What an export is made of: nothing else is ever replaced."""


def export(
    run: Annotated[str, typer.Argument(help="A run's name or its start, or a cell such as quickstart#1.")],
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write; exports/RUN where left out.")] = None,
    weights: Annotated[str, typer.Option("--weights", help="student, or ema where the run has it.")] = "student",
    seed: Annotated[int | None, typer.Option("--seed", help="Which of several runs; the first if left out.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there already.")] = False,
    store: StoreOption = STORE,
    data: DataOption = None,
    parts: PartsOption = None,
) -> None:
    """Export a run's student: its weights, its recipe and a card, in a folder.

    `deo_bench.load_student(FOLDER)` gives a plain torch module. The card says which bands, unit and normalisation its
    images need, what the run was trained by, with the teachers' licences, and what it scores. The weights file alone
    will do, too. The same run with the same scores gives the same bytes.
    """
    from deo_bench.experiments.sides import find_side
    from deo_bench.store import Store

    if weights not in ("student", "ema"):
        raise UserError(f"--weights {weights!r}: there are student and ema")
    side = find_side(run, Store(store), data)
    chosen = _chosen(side, seed)
    target = to or Path("exports") / (chosen.name if weights == "student" else f"{chosen.name}-{weights}")
    check_target(target, force)
    if weights == "ema" and not chosen.weights("ema").is_file():
        raise MissingInput(f"run {chosen.name} has no ema weights", "no teacher of its recipe follows the student")
    size = _write(chosen, weights, target, parts or [])
    others = len(side.runs) - 1
    first = f" (seed {_seed(chosen)} of {', '.join(map(str, side.seeds))})" if others and seed is None else ""
    typer.echo(f'{target}: run {chosen.name}{first}, {size}; deo_bench.load_student("{target}") loads it')


def _chosen(side: Side, seed: int | None) -> Run:
    if not side.runs:
        raise UserError(f"{side.given}: {side.note or 'it has no runs'}; `deo-bench run` trains them")
    found = [run for run in side.runs if seed in (None, _seed(run))]
    if not found:
        raise UserError(f"{side.given}: there is no run of seed {seed}; there are {', '.join(map(str, side.seeds))}")
    run = found[0]
    if run.state != "done":
        raise MissingInput(f"run {run.name} is {run.told_state}", "`deo-bench run` of its experiment finishes it")
    if problem := run.problem():
        raise UserError(problem)
    return run


def _seed(run: Run) -> int:
    return int(run.name.partition("-s")[2])


def check_target(target: Path, force: bool, files: tuple[str, ...] = FILES, what: str = "an export") -> None:
    """Refuse a place that holds anything, but for a folder of these files that may be replaced."""
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise UserError(f"{target}: is there already; name another place, or say --force to replace {what}")
    if target.is_symlink() or not target.is_dir():
        raise UserError(f"{target}: is no folder; --force replaces {what} and nothing else")
    foreign = sorted(path.name for path in target.iterdir() if path.name not in files or not path.is_file())
    if foreign:
        raise UserError(f"{target}: holds {foreign[0]}, which is no part of it; --force replaces {what}, nothing else")


def _write(run: Run, weights: str, target: Path, parts: list[Path]) -> str:
    from deo_bench.engine.export import exported
    from deo_bench.files import read_json, write_folder
    from deo_bench.registry import Registry
    from deo_bench.reports.card import Card, card
    from deo_bench.reports.frame import read_scores
    from deo_bench.store import Store
    from deo_bench.store.disk import size_text

    registry, store = Registry(parts), Store(run.path.parent)
    content, about = exported(run, registry, weights)
    problems: list[str] = []
    scores = read_scores(store.root, problems, [run.name])
    scores = scores[(scores["weights"] == weights) & scores["step"].isna()]
    for problem in problems:
        typer.echo(f"not on the card: {problem}", err=True)
    recipe = run.path / "recipe.json"
    checksum = hashlib.sha256(content).hexdigest()
    told = Card(about, read_json(recipe), run.info, scores, checksum, len(content))
    text = card(told, registry, store)
    write_folder(target, dict(zip(FILES, (text.encode(), recipe.read_bytes(), content), strict=True)))
    return size_text(len(content))
