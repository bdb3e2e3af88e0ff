"""Which published numbers may stand beside ours, and which only in tables of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from deo_bench.reports.published.frame import PublishedFrame, join
from deo_bench.reports.published.readers import read_published
from deo_bench.reports.published.sources import numbers_of, preferred_sources, read_source
from deo_bench.reports.published.summary import cells_of


class ColumnLike(Protocol):
    """What two numbers must share to stand in one column; `reports.cells.Column` is one."""

    @property
    def task(self) -> str:
        """The task."""

    @property
    def protocol(self) -> str:
        """The protocol's id."""

    @property
    def probe(self) -> str:
        """The probe's name in it."""

    @property
    def metric(self) -> str:
        """The metric."""

    @property
    def bands(self) -> str:
        """The band set fed."""

    @property
    def partition(self) -> str:
        """The training partition."""

    @property
    def band_labels(self) -> str:
        """The names that bands go by."""


@dataclass(frozen=True)
class Companion:
    """A published number that may stand in the `place`-th of the columns given; it is never averaged with ours.

    value: none where the source contradicts itself, as the notes then say; half: of the interval that the source
    states, none where it states none.
    """

    place: int
    task: str
    model: str
    source: str
    confidence: str
    value: float | None
    half: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beside:
    """same: may stand in a column of ours; others: numbers on the same tasks, for tables of their own."""

    same: tuple[Companion, ...]
    others: PublishedFrame


def beside(columns: Iterable[ColumnLike], sources: Sequence[str] | None = None) -> Beside:
    """What was published on the tasks of some columns.

    The same column means: the same protocol id, probe, metric, band set (exactly, not `all`), the default partition,
    and bands by their published names. sources: names of those that ship, or result CSVs; else every one that ships
    and that no other contradicts.
    """
    columns = list(columns)
    numbers = join(map(_numbers, preferred_sources() if sources is None else sources))
    numbers = numbers[numbers["task"].isin({column.task for column in columns})]
    same: list[Companion] = []
    used = numbers.index[:0]
    for place, column in enumerate(columns):
        rows = numbers[_matches(numbers, column)]
        used = used.union(rows.index)
        same += _companions(place, rows)
    return Beside(tuple(same), numbers.drop(used).reset_index(drop=True))


def _numbers(source: str) -> PublishedFrame:
    return read_published(Path(source)) if source.endswith(".csv") else numbers_of(read_source(source))


def _matches(numbers: PublishedFrame, column: ColumnLike) -> pd.Series[bool]:
    wanted = {
        "task": column.task, "protocol": column.protocol, "probe": column.probe, "metric": column.metric,
        "band_set": column.bands, "partition": column.partition,
    }  # fmt: skip
    may = column.partition == "default" and column.bands and column.band_labels in ("", "published")
    found = (numbers[list(wanted)] == list(wanted.values())).all(axis=1)
    return found & bool(may)


def _companions(place: int, rows: PublishedFrame) -> list[Companion]:
    return [
        Companion(place, task, model, str(source), cell.confidence, cell.value, cell.half, cell.notes)
        for source, of in rows.groupby("source", sort=False)
        for (model, task, _), cell in cells_of(of).items()
    ]
