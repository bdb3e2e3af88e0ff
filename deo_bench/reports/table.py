"""A table as numbers: rows and columns, what is best, what is missing and why, differences to a baseline row."""

from __future__ import annotations

from dataclasses import dataclass

from deo_bench.reports.cells import Column
from deo_bench.reports.entries import Axis, Kind, Seen
from deo_bench.reports.statistics import LEVEL, Difference, Estimate

ABOVE_STUDENTS = "above every student"
ON_EDGE = "a setting that the probe chose lies on the edge of its grid"


@dataclass(frozen=True)
class Cell:
    """One number of a table: the mean, the difference to the baseline row, or the reason why there is none.

    corrected: the difference's p value, corrected for all comparisons of the table; none where it is not one of them.
    seen: what of the task's data was seen before.
    """

    estimate: Estimate | None = None
    difference: Difference | None = None
    is_best: bool = False
    reason: str = ""
    notes: tuple[str, ...] = ()
    is_second: bool = False
    corrected: float | None = None
    seen: tuple[Seen, ...] = ()

    @property
    def is_resolved(self) -> bool:
        """Whether the difference is more than chance, all comparisons of the table taken together."""
        return self.corrected is not None and self.corrected < 1 - LEVEL


@dataclass(frozen=True)
class Row:
    """One row: label, kind, number of runs, a cell a column, and footnotes of the whole row.

    group: the heading of the block that it stands in, where rows are grouped.
    """

    label: str
    kind: Kind
    runs: int
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Table:
    """What was measured under one protocol: a column a task, and whatever else a report has side by side.

    probe, bands, weights, partition, step: of every column; where they differ, all of them, as text (`s2_10, rgb`).
    comparisons: so many differences were corrected for, of rows that are not shown too; none where only shown ones are.
    """

    protocol: str
    probe: str
    bands: str
    weights: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    against: str | None
    experiment: str
    partition: str = "default"
    step: str = "last"
    comparisons: int | None = None

    @property
    def varying(self) -> list[Axis]:
        """What tells this table's columns apart beside the task; a heading has to say it."""
        axes: tuple[Axis, ...] = ("bands", "probe", "weights", "partition", "step")
        return [axis for axis in axes if len({getattr(column, axis) for column in self.columns}) > 1]

    @property
    def is_of_one_task(self) -> bool:
        """Whether its columns are of one task though they differ in something else."""
        return bool(self.varying) and len({column.task for column in self.columns}) == 1

    def block(self, *kinds: Kind) -> list[Row]:
        """The rows of these kinds."""
        return [row for row in self.rows if row.kind in kinds]
