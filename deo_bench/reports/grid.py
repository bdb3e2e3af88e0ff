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
)

HOLE = "–"


@dataclass(frozen=True)
class Slot:
    """One cell as text, with the numbers of its footnotes."""

    text: str
    is_best: bool = False
    is_unresolved: bool = False
    notes: tuple[int, ...] = ()
    is_second: bool = False


@dataclass(frozen=True)
class Line:
    """One row as text; runs: how many stand behind it, none where that means nothing."""

    label: str
    runs: int | None
    slots: tuple[Slot, ...]
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Heading:
    """One column's heading, in up to three lines: of a score its task, metric and n."""

    task: str
    metric: str = ""
    size: str = ""


@dataclass(frozen=True)
class Grid:
    """One table as text: blocks of lines with a heading each, footnotes numbered from 1.

    name: what kind of table; title: of what; corner: the heading above the labels.
    """

    name: str
    title: str
    caption: str
    headings: tuple[Heading, ...]
    blocks: tuple[tuple[str, tuple[Line, ...]], ...]
    footnotes: tuple[str, ...] = ()
    corner: str = ""

    @property
    def lines(self) -> list[Line]:
        """The lines of every block."""
        return [line for _, block in self.blocks for line in block]

    @property
    def has_runs(self) -> bool:
        """Whether there is a column of runs to show."""
        return any(line.runs is not None for line in self.lines)


def score_grid(table: Table) -> Grid:
    """The means with their intervals."""
    return _grid(table, "scores", "", caption(table), table.rows, _score_slot, lambda _: ())


def difference_grid(table: Table) -> Grid | None:
    """The differences of the experiment's cells to the baseline row; none where there are none."""
    if not has_differences(table):
        return None
    rows = [row for row in table.block("cell") if row.label != table.against]
    heading = f"Differences to {table.against}"
    return _grid(
        table, "differences", heading, difference_caption(table), rows, _difference_slot,
        lambda row: pairing_note(row, table.against),
    )  # fmt: skip


class Footnotes:
    """Numbers notes from 1 as they come."""

    def __init__(self) -> None:
        self.notes: dict[str, int] = {}

    def __call__(self, notes: Sequence[str]) -> tuple[int, ...]:
        """The numbers of these notes."""
        return tuple(self.notes.setdefault(note, len(self.notes) + 1) for note in notes)


def _grid(
    table: Table,
    name: str,
    heading: str,
    words: str,
    rows: Sequence[Row],
    slot: Callable[[Cell, Footnotes], Slot],
    row_notes: Callable[[Row], tuple[str, ...]],
) -> Grid:
    number = Footnotes()
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


def _score_slot(cell: Cell, number: Footnotes) -> Slot:
    if cell.estimate is None:
        return Slot(HOLE, notes=number([cell.reason]))
    return Slot(estimate_text(cell.estimate), cell.is_best, notes=number(cell.notes), is_second=cell.is_second)


def _difference_slot(cell: Cell, number: Footnotes) -> Slot:
    if cell.difference is None:
        return Slot(HOLE, notes=number([cell.reason or "the baseline row has no score here"]))
    return Slot(difference_text(cell.difference), is_unresolved=not cell.is_resolved)
