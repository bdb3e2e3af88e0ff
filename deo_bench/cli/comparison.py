"""Draws a comparison: what differs in the recipes, then the scores, then what could not be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from deo_bench.experiments.sides import Side
    from deo_bench.recipe.differences import Difference
    from deo_bench.reports.compare import Compared, Comparison


_NAMED = 4
"""Tasks, bands or probes that a line names; --json names all."""


def draw(sides: list[Side], recipe: list[Difference], made: Comparison) -> None:
    """Everything about two sides; wrapped at the edge of a terminal, whole where there is none."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    for name, side in zip("AB", sides, strict=True):
        _say(console, f"{name}  {side.label}{_about(side)}")
    _say(console, "")
    _draw_recipe(console, recipe)
    if made.compared:
        _say(console, "")
        _draw_scores(console, made)
    _draw_apart(console, made, sides)
    for problem in made.problems:
        _say(console, f"not used: {problem}")


def _about(side: Side) -> str:
    told = []
    if side.digest and side.digest not in side.label:
        told.append(side.digest)
    if side.seeds:
        told.append(f"seed{'s' if len(side.seeds) > 1 else ''} {', '.join(map(str, side.seeds))}")
    # A run whose weights were pruned has its scores still, and is compared by them as any other.
    is_usual = {run.name: run.state in ("done", "pruned") and run.stopped_at is None for run in side.runs}
    states = {run.name: run.told_state for run in side.runs if not is_usual[run.name]}
    told += [f"{name} is {state}" for name, state in states.items()]
    told += [*side.marks, *([side.note] if side.note else [])]
    return "".join(f"; {text}" for text in told)


def _draw_recipe(console: Console, recipe: list[Difference]) -> None:
    from rich.table import Table
    from rich.text import Text

    from deo_bench.recipe.differences import written

    if not recipe:
        _say(console, "the recipes are the same")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("the recipes differ in", no_wrap=True)
    for name in "AB":
        table.add_column(name, overflow="fold")
    for one in recipe:
        table.add_row(Text(one.path), *(Text(_short(written(value))) for value in (one.a, one.b)))
    console.print(table)


def _short(text: str) -> str:
    """Checksums by the digits that tell them apart."""
    return re.sub(r"[0-9a-f]{40,}", lambda match: match[0][:12] + "…", text)


def _draw_scores(console: Console, made: Comparison) -> None:
    from rich.table import Table
    from rich.text import Text

    from deo_bench.reports.wording import difference_text, number

    for title, rows in _blocks(made.compared):
        _say(console, title)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("task", "probe", "A", "B", "A - B", "better"):
            is_text = heading in ("task", "probe", "better")
            table.add_column(heading, justify="left" if is_text else "right", no_wrap=True)
        for row in rows:
            better = Text(row.better, style="bold") if row.better else Text("unresolved", style="italic dim")
            means, is_share = (row.a.value, row.b.value), row.column.is_share
            numbers = (*(number(mean, False, is_share, means) for mean in means), difference_text(row.difference))
            table.add_row(Text(row.where["task"]), Text(row.where["probe"]), *numbers, better)
        console.print(table)
    for line in _footnotes(made.compared):
        _say(console, line)


def _blocks(compared: list[Compared]) -> list[tuple[str, list[Compared]]]:
    """Rows under what they share, which is told in a line."""
    blocks: dict[str, list[Compared]] = {}
    for row in compared:
        where = row.where
        title = f"{where['protocol']}, bands {where['bands']}, {where['weights']} weights"
        title += "" if where["step"] is None else f" of step {where['step']}"
        title += "" if where["partition"] == "default" else f", partition {where['partition']}"
        blocks.setdefault(title, []).append(row)
    return list(blocks.items())


def _footnotes(compared: list[Compared]) -> list[str]:
    """What is needed to read the numbers, and what they do not say."""
    from deo_bench.reports.wording import begun, metric_name, scale

    metrics: dict[str, list[str]] = {}
    for row in compared:
        metrics.setdefault(metric_name(row.column), []).append(row.where["task"])
    told = [
        f"{name} ({', '.join(dict.fromkeys(tasks))})" if len(metrics) > 1 else name for name, tasks in metrics.items()
    ]
    percent = begun(scale([row.column for row in compared]))
    lines = [f"{percent}: {'; '.join(told)}. In brackets 95 % t intervals over seeds and test images."]
    for pairing, rows in _pairings(compared).items():
        lines.append(f"{pairing}: {'all' if len(rows) == len(compared) else ', '.join(rows)}.")
    if len(compared) > 1:
        lines.append(f"{len(compared)} differences, none corrected for the others.")
    if any(row.where["task"].startswith("scenes-") for row in compared):
        lines.append("Tasks called scenes-… are generated scenes.")
    return lines + list(dict.fromkeys(note for row in compared for note in row.notes))


def _pairings(compared: list[Compared]) -> dict[str, list[str]]:
    """How differences were paired, and which."""
    found: dict[str, list[str]] = {}
    for row in compared:
        if len(row.seeds) > 1:
            told = f"Paired by seed ({', '.join(map(str, row.seeds))}) and by test image"
        elif row.seeds:
            told = (
                f"One common seed ({row.seeds[0]}), over test images only: it speaks of these runs, not of the recipes"
            )
        elif row.difference.seeds > 1:
            told = "No common seed: unpaired by seed, paired by test image"
        else:
            told = "No common seed, one run on a side: how seeds vary is not known in full, so it speaks of these runs"
        found.setdefault(told, []).append(f"{row.where['task']} {row.where['probe']}")
    return found


def _draw_apart(console: Console, made: Comparison, sides: list[Side]) -> None:
    if not all(side.runs for side in sides):
        _say(
            console,
            "\nno scores are compared: "
            + "; ".join(_lacks(n, s) for n, s in zip("AB", sides, strict=True) if not s.runs),
        )
        return
    if not made.compared and not made.apart:
        _say(console, "\nno scores are compared: neither side has any")
    causes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for where, reason in made.apart:
        causes.setdefault((where["protocol"], reason), []).append(where)
    if causes:
        _say(console, "\nnot compared")
    for (protocol, reason), wheres in causes.items():
        count = "1 score" if len(wheres) == 1 else f"{len(wheres)} scores"
        _say(console, f"  {count} under {protocol}: {reason} ({_told_where(wheres)})")


def _told_where(wheres: list[dict[str, Any]]) -> str:
    """Which scores, by what of them there is: tasks; bands; weights; steps, where any was kept; probes."""
    told = [_several([where[key] for where in wheres]) for key in ("task", "bands", "weights", "probe")]
    if any(where["step"] is not None for where in wheres):
        steps = ["the last step" if where["step"] is None else f"step {where['step']}" for where in wheres]
        told.insert(3, _several(steps))
    return "; ".join(told)


def _several(values: list[str]) -> str:
    values = list(dict.fromkeys(values))
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    return ", ".join(values[:_NAMED]) + more


def _lacks(name: str, side: Side) -> str:
    return f"{name}: {side.note or 'no runs'}"


def _say(console: Console, lines: str | Iterable[str]) -> None:
    for line in [lines] if isinstance(lines, str) else lines:
        console.print(line, markup=False, highlight=False)
