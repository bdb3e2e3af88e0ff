"""A table as text in slots: what every format draws, so that all of them say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deo_bench.reports.entries import Seen
from deo_bench.reports.table import Cell, Row, Table
from deo_bench.reports.wording import (
    UNRESOLVED,
    blocks_of,
    caption,
    difference_caption,
    difference_text,
    estimate_text,
    has_differences,
    metric_name,
    metric_remark,
    pairing_note,
    size,
    unresolved_text,
    where,
)

HOLE = "–"


@dataclass(frozen=True)
class Slot:
    """One cell as text, with the numbers of its footnotes, and daggers; remark: beside what is unresolved."""

    text: str
    is_best: bool = False
    is_unresolved: bool = False
    notes: tuple[int, ...] = ()
    is_second: bool = False
    daggers: tuple[str, ...] = ()
    remark: str = UNRESOLVED

    @property
    def marks(self) -> tuple[str, ...]:
        """What stands above the text: daggers, then numbers of footnotes."""
        return (*self.daggers, *map(str, self.notes))


@dataclass(frozen=True)
class Line:
    """One row as text; runs: how many stand behind it, none where that means nothing."""

    label: str
    runs: int | None
    slots: tuple[Slot, ...]
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Heading:
    """One column's heading, line by line: of a score its task, what else tells its column, metric, a remark, n."""

    task: str
    metric: str = ""
    size: str = ""
    where: str = ""
    remark: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines, from above."""
        return [line for line in (self.task, self.where, self.metric, self.remark, self.size) if line]


@dataclass(frozen=True)
class Grid:
    """One table as text: blocks of lines with a heading each, footnotes numbered from 1.

    name: what kind of table; title: of what; corner: the heading above the labels; daggers: each with its words.
    """

    name: str
    title: str
    caption: str
    headings: tuple[Heading, ...]
    blocks: tuple[tuple[str, tuple[Line, ...]], ...]
    footnotes: tuple[str, ...] = ()
    corner: str = ""
    daggers: tuple[tuple[str, str], ...] = ()

    @property
    def told(self) -> list[tuple[str, str]]:
        """Everything under the table, with its mark: daggers, then footnotes."""
        return [*self.daggers, *((str(i), note) for i, note in enumerate(self.footnotes, 1))]

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
    """Numbers notes from 1 as they come, and collects what daggers stand for."""

    def __init__(self) -> None:
        self.notes: dict[str, int] = {}
        self._seen: dict[str, dict[str, None]] = {}

    def __call__(self, notes: Sequence[str]) -> tuple[int, ...]:
        """The numbers of these notes."""
        return tuple(self.notes.setdefault(note, len(self.notes) + 1) for note in notes)

    def dagger(self, seen: Sequence[Seen]) -> tuple[str, ...]:
        """The daggers of what was seen, each once."""
        for one in seen:
            self._seen.setdefault(one.mark, {})[one.words] = None
        return tuple(sorted({one.mark for one in seen}))

    @property
    def daggers(self) -> tuple[tuple[str, str], ...]:
        """The daggers that were given, with all that each stands for."""
        return tuple((mark, "; ".join(words)) for mark, words in sorted(self._seen.items()))


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
    for block, members in blocks_of(rows):
        lines = []
        for row in members:
            marks = number([*row.notes, *row_notes(row)])
            lines.append(Line(row.label, row.runs, tuple(slot(cell, number) for cell in row.cells), marks))
        blocks.append((block, tuple(lines)))
    headings = tuple(
        Heading(column.task, metric_name(column), size(column), where(column, table.varying), metric_remark(column))
        for column in table.columns
    )  # fmt: skip
    return Grid(name, heading, words, headings, tuple(blocks), tuple(number.notes), daggers=number.daggers)


def _score_slot(cell: Cell, number: Footnotes) -> Slot:
    if cell.estimate is None:
        return Slot(HOLE, notes=number([cell.reason]))
    text, daggers = estimate_text(cell.estimate), number.dagger(cell.seen)
    return Slot(text, cell.is_best, notes=number(cell.notes), is_second=cell.is_second, daggers=daggers)


def _difference_slot(cell: Cell, number: Footnotes) -> Slot:
    if cell.difference is None:
        return Slot(HOLE, notes=number([cell.reason or "the baseline row has no score here"]))
    text, daggers = difference_text(cell.difference), number.dagger(cell.seen)
    remark = UNRESOLVED if cell.corrected is None else unresolved_text(cell.corrected)
    return Slot(text, is_unresolved=not cell.is_resolved, daggers=daggers, remark=remark)
