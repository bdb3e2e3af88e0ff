"""Scores and their differences to the baseline row: the tables that a report is read for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import get_args

from deo_bench.reports.answer import Answer
from deo_bench.reports.figures.dots import View, dots, has_dots, pages
from deo_bench.reports.grid import Grid, difference_grid, score_grid
from deo_bench.reports.section import Drawing, Section
from deo_bench.reports.table import Table
from deo_bench.reports.wording import title


def main(answer: Answer) -> list[Section]:
    """A section for each table of a protocol's first probe, with its figures."""
    return [Section(title(table), tuple(_parts(table, answer.main))) for table in answer.main]


def other_probes(answer: Answer) -> list[Section]:
    """The tables of the other probes, folded away."""
    others = [table for table in answer.tables if table not in answer.main]
    return [Section(title(table), tuple(_grids(table)), shown="folded") for table in others]


def _parts(table: Table, among: Sequence[Table]) -> list[Grid | Drawing]:
    drawings: dict[str, list[Drawing]] = {}
    for view in get_args(View):
        if has_dots(table, view):
            cuts, name = pages(table, view), figure_name(view, table, among)
            names = [name] if len(cuts) == 1 else [f"{name}-{number}" for number in range(1, len(cuts) + 1)]
            drawings[view] = [
                Drawing(each, partial(dots, table, view, places)) for each, places in zip(names, cuts, strict=True)
            ]
    parts: list[Grid | Drawing] = []
    for grid in _grids(table):
        parts += [*drawings.get(grid.name, []), grid]
    return parts


def _grids(table: Table) -> list[Grid]:
    gains = difference_grid(table)
    return [score_grid(table), *([gains] if gains else [])]


def figure_name(kind: str, table: Table, among: Sequence[Table]) -> str:
    """`scores`, or with what tells a table from the others: `scores-rgb`."""
    parts = [kind]
    for name in ("protocol", "task", "probe", "bands", "weights", "partition", "step"):
        if len({_told(other, name) for other in among}) > 1:
            parts.append(re.sub(r"[^\w.]+", "-", _told(table, name)))
    return "-".join(parts)


def _told(table: Table, name: str) -> str:
    return ", ".join(dict.fromkeys(c.task for c in table.columns)) if name == "task" else str(getattr(table, name))
