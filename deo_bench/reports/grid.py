"""A table as text in slots: what every format draws, so that all of them say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deo_bench.reports.table import Cell, Row, Table
from deo_bench.reports.wording import (
    BLOCKS,
    caption,
    difference_caption,
    difference_text,
    estimate_text,
    has_differences,
    metric_name,
    pairing_note,
    size,
    title,
)

HOLE = "–"


@dataclass(frozen=True)
class Slot:
    """One cell as text, with the numbers of its footnotes."""

    text: str
    is_best: bool = False
    is_unresolved: bool = False
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Line:
    """One row as text."""

    label: str
    runs: int
    slots: tuple[Slot, ...]
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Heading:
    """One column's heading: task, metric, n."""

    task: str
    metric: str
    size: str


@dataclass(frozen=True)
class Grid:
    """One table as text: blocks of lines with a heading each, footnotes numbered from 1."""

    name: str
    title: str
    caption: str
    headings: tuple[Heading, ...]
    blocks: tuple[tuple[str, tuple[Line, ...]], ...]
    footnotes: tuple[str, ...]


def score_grid(table: Table) -> Grid:
    """The means with their intervals."""
    return _grid(table, "scores", title(table), caption(table), table.rows, _score_slot, lambda _: ())


def difference_grid(table: Table) -> Grid | None:
    """The differences of the experiment's cells to the baseline row; none where there are none."""
    if not has_differences(table):
        return None
    rows = [row for row in table.block("cell") if row.label != table.against]
    heading = f"against {table.against}: {title(table)}"
    return _grid(
        table, "differences", heading, difference_caption(table), rows, _difference_slot,
        lambda row: pairing_note(row, table.against),
    )  # fmt: skip


def grids(table: Table) -> list[Grid]:
    """Both views of a table."""
    gains = difference_grid(table)
    return [score_grid(table), *([gains] if gains else [])]


class _Footnotes:
    """Numbers notes from 1 as they come."""

    def __init__(self) -> None:
        self.notes: dict[str, int] = {}

    def __call__(self, notes: Sequence[str]) -> tuple[int, ...]:
        return tuple(self.notes.setdefault(note, len(self.notes) + 1) for note in notes)


def _grid(
    table: Table,
    name: str,
    heading: str,
    words: str,
    rows: Sequence[Row],
    slot: Callable[[Cell, _Footnotes], Slot],
    row_notes: Callable[[Row], tuple[str, ...]],
) -> Grid:
    number = _Footnotes()
    blocks = []
    for block, kinds in BLOCKS:
        lines = []
        for row in rows:
            if row.kind in kinds:
                marks = number([*row.notes, *row_notes(row)])
                lines.append(Line(row.label, row.runs, tuple(slot(cell, number) for cell in row.cells), marks))
        if lines:
            blocks.append((block, tuple(lines)))
    headings = tuple(Heading(column.task, metric_name(column), size(column)) for column in table.columns)
    return Grid(name, heading, words, headings, tuple(blocks), tuple(number.notes))


def _score_slot(cell: Cell, number: _Footnotes) -> Slot:
    if cell.estimate is None:
        return Slot(HOLE, notes=number([cell.reason]))
    return Slot(estimate_text(cell.estimate), cell.is_best, notes=number(cell.notes))


def _difference_slot(cell: Cell, number: _Footnotes) -> Slot:
    if cell.difference is None:
        return Slot(HOLE, notes=number([cell.reason or "the baseline row has no score here"]))
    return Slot(difference_text(cell.difference), is_unresolved=not cell.difference.is_resolved)
