"""`deo-bench show`: one thing, fully."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deo_bench.cli.arguments import STORE, PartsOption, StoreOption
from deo_bench.cli.names import PRESETS, preset_files
from deo_bench.cli.weights import weights_lines
from deo_bench.data import Places
from deo_bench.declarations import KINDS, REQUIRED, Declaration
from deo_bench.errors import StoreError, UserError, unknown
from deo_bench.registry import Registry

if TYPE_CHECKING:
    from deo_bench.backbone import Backbone


def show(
    name: Annotated[str, typer.Argument(help="A part, an experiment, a recipe, a TOML file or a run.")],
    parts: PartsOption = None,
    store: StoreOption = STORE,
    speed: Annotated[bool, typer.Option("--speed", help="Measure images per second, with untrained weights.")] = False,
    device: Annotated[str, typer.Option(help="Where --speed measures: cpu, cuda, cuda:1, …")] = "cpu",
    batch: Annotated[int, typer.Option(min=1, help="Images at once for --speed.")] = 16,
    size: Annotated[int, typer.Option(min=16, help="Pixels a side for --speed.")] = 224,
) -> None:
    """Show one thing fully. A part's card, options and docstring; an experiment or recipe; a run."""
    registry = Registry(parts or ())
    found = registry.find(name)
    for declared in found:
        _show_part(declared)
        for line in weights_lines(declared, {}, Places.of(store).cache):
            typer.echo(line if line.startswith(" ") else f"\n{line}")
        if speed and declared.kind in ("teacher", "student"):
            typer.echo(_speed_line(registry, declared, device, batch, size))
        typer.echo("")
    files = _preset_named(name)
    for path in files:
        typer.echo(f"{path}\n\n{path.read_text(encoding='utf-8', errors='replace').rstrip()}\n")
    if not found and not files and not _show_run(name, store):
        presets = [preset for word in PRESETS for preset in preset_files(word)]
        raise unknown("name", name, [*(part for kind in KINDS for part in registry.all(kind)), *presets])


def _show_part(declared: Declaration) -> None:
    typer.echo(f"{declared.kind} {declared.name} (version {declared.identity})")
    typer.echo(f"  {declared.origin}\n")
    typer.echo(_indented(declared.doc) + "\n")
    card = {key: value for key, value in declared.facts.items() if key not in ("summary", "options")}
    if card:
        typer.echo("card")
        for key, value in card.items():
            typer.echo(f"  {key} = {_written(value)}")
        typer.echo("")
    typer.echo("options" if declared.options else "no options")
    for option in declared.options.values():
        default = "required" if option.default is REQUIRED else f"= {_written(option.default)}"
        typer.echo(f"  {option.name} {default}   ({option.annotation})")


def _speed_line(registry: Registry, declared: Declaration, device: str, batch: int, size: int) -> str:
    """Images per second of a teacher or student, measured."""
    from deo_bench.engine.contract import backbones
    from deo_bench.engine.speed import measure

    if declared.kind == "student":
        built: Backbone = backbones.build_student(registry, declared, {})
    else:
        built = backbones.build_teacher(registry, declared, {}, is_whole=True)
    try:
        found = measure(built, size, batch, device)
    except RuntimeError as error:
        raise UserError(f"--speed on {device}: {str(error).splitlines()[0]}") from None
    told = f"{found.images_per_second:.1f} images of {found.size} px a second, {found.batch} at once"
    return f"\nspeed\n  {told}, {found.precision}, {found.device}, untrained"


def _preset_named(name: str) -> list[Path]:
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise UserError(f"{path}: there is no such file")
        return [path]
    return [files[name] for word in PRESETS if name in (files := preset_files(word))]


def _show_run(name: str, store: Path) -> bool:
    """Whether a run of that name is in the store; its recipe, how it was made, and its scores."""
    from deo_bench.store import Store

    matching = [run for run in Store(store).runs() if len(name) >= 4 and run.name.startswith(name)]
    for run in matching:
        typer.echo(f"run {run.name} ({run.state})\n  {run.path}\n")
        for file in ("recipe.json", "run.json"):
            path = run.path / file
            if path.is_file():
                typer.echo(f"{file}\n{_indented(path.read_text(encoding='utf-8', errors='replace'))}")
        for path in sorted((run.path / "scores").glob("*.json")):
            typer.echo(_score_line(path))
    return bool(matching)


def _score_line(path: Path) -> str:
    from pydantic import ValidationError

    from deo_bench.files import read_json
    from deo_bench.score import Score

    try:
        score = Score.model_validate(read_json(path))
    except (StoreError, ValidationError):
        return f"{path.stem}: torn or foreign; the command that made it makes it again"
    interval = "" if score.low is None or score.high is None else f" [{score.low:.4f}, {score.high:.4f}]"
    return f"{path.stem}: {score.metric} {score.value:.4f}{interval}, n {score.n}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.strip().splitlines())


def _written(value: object) -> str:
    """A value as TOML would have it."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)
