"""Scores and their differences to the baseline row: the tables that a report is read for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import get_args

from deo_bench.reports.answer import Answer
from deo_bench.reports.figures.dots import View, dots, has_dots
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
    drawings: dict[str, Drawing] = {}
    for view in get_args(View):
        if has_dots(table, view):
            drawings[view] = Drawing(figure_name(view, table, among), partial(dots, table, view))
    parts: list[Grid | Drawing] = []
    for grid in _grids(table):
        parts += [drawings[grid.name]] if grid.name in drawings else []
        parts.append(grid)
    return parts


def _grids(table: Table) -> list[Grid]:
    gains = difference_grid(table)
    return [score_grid(table), *([gains] if gains else [])]


def figure_name(kind: str, table: Table, among: Sequence[Table]) -> str:
    """`scores`, or with what tells a table from the others: `scores-rgb`."""
    parts = [kind]
    for name in ("protocol", "bands", "weights"):
        if len({getattr(other, name) for other in among}) > 1:
            parts.append(getattr(table, name))
    return "-".join(parts)
