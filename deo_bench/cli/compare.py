"""`deo-bench compare`: in what two runs or recipes differ, and whether their scores do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.errors import UserError

if TYPE_CHECKING:
    from deo_bench.experiments.sides import Side
    from deo_bench.recipe.differences import Difference
    from deo_bench.reports.compare import Compared, Comparison

_SIDE = "A run's name or its start, the digits that all seeds of a recipe share, or a file or preset (FILE#CELL)."


def compare(
    a: Annotated[str, typer.Argument(help=_SIDE)],
    b: Annotated[str, typer.Argument(help="The same, for the other side.")],
    store: StoreOption = STORE,
    data: DataOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a machine: everything, as one JSON object.")] = False,
) -> None:
    """Compare two runs, or two recipes over all their seeds.

    Says in which options, versions, data and weights the recipes differ, and the difference A - B of every score that
    both have, paired by seed and by test image where they can be. A winner is named only where the 95 % interval of
    the difference excludes zero; different protocols are never compared.
    """
    from deo_bench.cli.comparison import draw
    from deo_bench.experiments.sides import find_side
    from deo_bench.recipe.differences import differences
    from deo_bench.reports.compare import compare as compare_scores
    from deo_bench.reports.frame import read_scores
    from deo_bench.store import Store

    sides = [find_side(given, Store(store), data) for given in (a, b)]
    if sides[0].runs and sides[0].runs[0].name in {run.name for run in sides[1].runs} and _same_runs(*sides):
        raise UserError(f"{a} and {b} are the same {'run' if len(sides[0].runs) == 1 else 'runs'}: {sides[0].label}")
    recipe = differences(sides[0].contents, sides[1].contents)
    entries = [_entry(name, side) for name, side in zip("AB", sides, strict=True)]
    problems: list[str] = []
    made = compare_scores(read_scores(store, problems), entries[0], entries[1], _last_step(sides))
    ours = {run.name for side in sides for run in side.runs}
    made.problems = [*(line for line in problems if line.partition("/")[0] in ours), *made.problems]
    if as_json:
        typer.echo(json.dumps(_as_json(sides, recipe, made), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        draw(sides, recipe, made)


def _same_runs(a: Side, b: Side) -> bool:
    return {run.name for run in a.runs} == {run.name for run in b.runs}


def _last_step(sides: list[Side]) -> int | None:
    """The last step of all runs, none where they differ: one's last is another's on the way."""
    steps = {run.info.get("steps") for side in sides for run in side.runs}
    return steps.pop() if len(steps) == 1 else None


def _entry(name: str, side: Side) -> Any:
    from deo_bench.reports.entries import Entry

    return Entry(name, "cell", [(seed, run.name) for seed, run in zip(side.seeds, side.runs, strict=True)])


def _as_json(sides: list[Side], recipe: list[Difference], made: Comparison) -> dict[str, Any]:
    from deo_bench.recipe.differences import ABSENT

    told: dict[str, Any] = {}
    for name, side in zip("AB", sides, strict=True):
        runs = [
            {"name": run.name, "seed": seed, "state": run.state}
            for seed, run in zip(side.seeds, side.runs, strict=True)
        ]
        told[name] = {"given": side.given, "label": side.label, "digest": side.digest or None, "runs": runs}
        told[name] |= {"marks": side.marks, "note": side.note}
    told["recipe"] = [
        {"path": one.path} | {key: value for key, value in (("A", one.a), ("B", one.b)) if value is not ABSENT}
        for one in recipe
    ]
    told["scores"] = [_score_as_json(row) for row in made.compared]
    told["not_compared"] = [{**where, "reason": reason} for where, reason in made.apart]
    told["problems"] = made.problems
    return told


def _score_as_json(row: Compared) -> dict[str, Any]:
    gain, column = row.difference, row.column
    about = {"metric": column.metric, "direction": column.direction, "n": column.n, "num_groups": column.groups}
    return {
        **row.where,
        **about,
        "digest": row.digest,
        "A": row.a.value,
        "B": row.b.value,
        "difference": gain.value,
        "low": gain.low,
        "high": gain.high,
        "p": gain.p,
        "df": gain.df,
        "pairing": gain.pairing,
        "seeds": list(row.seeds),
        "better": row.better or None,
        "notes": list(row.notes),
    }
