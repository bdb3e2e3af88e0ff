"""Which scores stand in which cell of a table, and why a cell is empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from deo_bench.errors import StoreError
from deo_bench.probes.metrics import METRICS
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.resample import MetricMisfit, Resampler
from deo_bench.reports.statistics import Measured

REFERENCE_PROBES = ("majority", "supervised")
"""Probes whose one score a task stands under every probe; `majority` sees no image, so under any bands too."""

MEASURED = ("mean_cost", "mean_rate")
"""Metrics of what was measured so many times, not image by image: what is true of images says nothing there."""

_LOST = "predictions missing or torn"


@dataclass(frozen=True)
class Column:
    """A task under one probe; everything that two numbers must share to stand below one another.

    step: of the weights, none for the last ones; protocol_metric: the protocol's own, where `metric` is another that
    was asked for.
    """

    task: str
    probe: str
    protocol: str
    bands: str
    weights: str
    metric: str = ""
    direction: str = "max"
    n: int = 0
    groups: int | None = None
    content: str = ""
    band_labels: str = ""
    partition: str = "default"
    step: int | None = None
    protocol_metric: str = ""

    @property
    def is_share(self) -> bool:
        """Whether its scores are shares, shown as percent, or in a unit of their own."""
        return self.metric not in METRICS or METRICS[self.metric].is_share

    @property
    def is_measured(self) -> bool:
        """Whether its scores were measured on a backbone and not made of predictions for test images."""
        return self.metric in MEASURED

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return -1 if self.direction == "min" else 1


@dataclass(frozen=True)
class Found:
    """The scores of one cell, or the reason why there are none."""

    scores: tuple[Measured, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    on_edge: bool = False
    is_trivial: bool = False


class Scores:
    """The scores of a store that a report's rows may use, found by row and column."""

    def __init__(
        self, frame: pd.DataFrame, entries: Sequence[Entry], scope: Scope, problems: list[str] | None = None
    ) -> None:
        self.problems: list[str] = [] if problems is None else problems
        self._resampler = Resampler()
        self._read: dict[tuple[str, str], tuple[Measured, str, str] | str] = {}
        self._truth: dict[tuple[str, ...], str] = {}
        self._said: dict[tuple[str, int | None, str], dict[Column, tuple[str, bool]]] = {}
        self._used: dict[str, dict[str, str]] = {}
        self._frame = frame
        self._is_planned = scope.digests is not None
        self._cells = {subject for entry in entries if entry.kind == "cell" for _, subject in entry.subjects}
        subjects = {subject for entry in entries for _, subject in entry.subjects}
        wanted = frame[frame["subject"].isin(subjects)]
        if scope.digests is not None:
            wanted = wanted[wanted["digest"].isin(scope.digests)]
        self._rows: dict[tuple[Any, ...], list[Any]] = {}
        for row in wanted.itertuples(index=False):
            self._rows.setdefault((row.subject, row.task, row.protocol, row.probe, row.partition), []).append(row)
        self._resampler.expect(row for rows in self._rows.values() for row in rows)
        self._by_place: dict[tuple[str, ...], list[Any]] = {}
        for (_, *where), found in self._rows.items():
            self._by_place.setdefault(tuple(where), []).extend(found)

    def column(
        self,
        task: str,
        probe: str,
        protocol: str,
        bands: str,
        weights: str,
        partition: str = "default",
        step: int | None = None,
        metric: str | None = None,
    ) -> Column:
        """A column with what its scores share; where data differ, that of most of the experiment's cells.

        metric: another than the protocol's, to be computed anew from the predictions.
        """
        rows = [row for row in self._by_place.get((task, protocol, probe, partition), ()) if row.bands == bands]
        rows = [row for row in rows if row.subject in self._cells] or rows
        blank = Column(task, probe, protocol, bands, weights, partition=partition, step=step)
        if not rows:
            return blank
        shared = Counter((row.task_content, row.band_labels, row.metric) for row in rows)
        most = min(shared, key=lambda key: (-shared[key], key))
        row = next(row for row in rows if (row.task_content, row.band_labels, row.metric) == most)
        groups = None if pd.isna(row.num_groups) else int(row.num_groups)
        column = replace(
            blank, metric=row.metric, direction=row.direction, n=int(row.n), groups=groups,
            content=row.task_content, band_labels=row.band_labels,
        )  # fmt: skip
        if metric is None or metric == row.metric:
            return column
        return replace(column, metric=metric, direction=METRICS[metric].direction, protocol_metric=row.metric)

    def find(self, entry: Entry, column: Column) -> Found:
        """The scores of a row in a column, or why there are none."""
        if not entry.subjects:
            return Found(reason="not planned")
        if not column.metric:
            return Found(reason=self._why(entry, "not evaluated"))
        rows: list[Any] = []
        reasons: dict[int | None, str] = {}
        for seed, subject in entry.subjects:
            row = self._row(entry, subject, column)
            if isinstance(row, str):
                reasons[seed] = entry.reasons.get(subject, row)
            else:
                rows.append(row)
        last = max(map(_step, rows), default=0)
        reasons |= {_seed(row): f"scored at step {_step(row)} only" for row in rows if _step(row) < last}
        return self._measured(entry, column, [row for row in rows if _step(row) == last], reasons)

    def used(self) -> pd.DataFrame:
        """The scores that stand in the tables, with their row's label and kind in front; of several rows, once each."""
        table = self._frame[self._frame["path"].isin(list(self._used))]
        rows = [each for path in table["path"] for each in self._used[path].items()]
        table = table.loc[table.index.repeat([len(self._used[path]) for path in table["path"]])].reset_index(drop=True)
        table.insert(0, "label", [label for label, _ in rows])
        table.insert(1, "kind", [kind for _, kind in rows])
        return table.sort_values(["label", "task", "protocol", "probe", "bands", "weights", "subject"])

    def twins(self) -> list[str]:
        """Rows whose predictions are the same to the bit wherever both stand: a setting that has no effect."""
        same: dict[tuple[Any, ...], dict[str, str]] = {}
        for (label, seed, subject), said in self._said.items():
            if not all(perfect for _, perfect in said.values()):
                key = (seed, *sorted((*_place(one), digest) for one, (digest, _) in said.items()))
                same.setdefault(key, {})[subject] = label
        return [
            f"{' and '.join(labels.values())} give the same predictions to the bit"
            + ("" if key[0] is None else f" (seed {key[0]})")
            for key, labels in same.items()
            if len(labels) > 1
        ]

    def _row(self, entry: Entry, subject: str, column: Column) -> Any | str:
        """The one row of the frame for a subject in a column, or why there is none."""
        probes = REFERENCE_PROBES if entry.kind == "reference" else (column.probe,)
        rows = [
            row
            for probe in probes
            for row in self._rows.get((subject, column.task, column.protocol, probe, column.partition), ())
            if row.bands == column.bands or row.probe == "majority"
        ]
        rows = [row for row in rows if row.bands == column.bands] or rows[:1]
        if not rows:
            return "not evaluated"
        wanted = {column.weights, "file"}
        rows = [row for row in rows if row.weights in wanted] or [row for row in rows if row.weights == "student"]
        if not rows:
            return f"no {column.weights} weights"
        rows = [row for row in rows if (row.task_content, row.band_labels) == (column.content, column.band_labels)]
        if not rows:
            return "scored on other data or band labels than the rest of its column"
        rows = [row for row in rows if row.metric == (column.protocol_metric or column.metric)]
        if not rows:
            return "scored by another metric than the rest of its column"
        rows = self._at_step(entry, rows, column.step)
        if not rows:
            return "not evaluated" if column.step is None else f"no score of step {column.step}"
        rows = [row for row in rows if _step(row) == max(map(_step, rows))]
        if len({row.digest for row in rows}) > 1:
            return "the store has several versions of this score"
        return rows[0]

    def _at_step(self, entry: Entry, rows: list[Any], step: int | None) -> list[Any]:
        """Those of the weights of a step, none for the last; what does not train here has one score for every step."""
        if step is None or entry.kind in ("baseline", "reference") or entry.is_untrained:
            # the plan asks for the last weights by name; without a plan, whatever was scored last stands for them
            return [row for row in rows if pd.isna(row.step)] if self._is_planned else rows
        return [row for row in rows if _step(row) == step]

    def _measured(self, entry: Entry, column: Column, rows: list[Any], reasons: dict[int | None, str]) -> Found:
        scores, edge = [], False
        for row in rows:
            measured = self._measure(row, entry, column)
            if isinstance(measured, str):
                reasons[_seed(row)] = measured
                continue
            scores.append(measured)
            edge = edge or bool(row.on_edge)
        if not scores:
            return Found(reason="; ".join(dict.fromkeys(reasons.values())))
        notes = [_partial(len(scores), len(entry.subjects), reasons)] if reasons else []
        if any(row.weights == "student" != column.weights for row in rows):
            notes.append(f"no {column.weights} weights: the student's")
        trivial = entry.kind == "baseline" or any(row.probe == "majority" for row in rows)
        return Found(tuple(scores), "", tuple(notes), edge, trivial)

    def _measure(self, row: Any, entry: Entry, column: Column) -> Measured | str:
        """A row of the frame with its bootstrap, or why it cannot be used."""
        key = (row.path, column.metric)
        if key not in self._read:
            self._read[key] = self._read_anew(row, column)
        read = self._read[key]
        if isinstance(read, str):
            return read
        measured, truth, said = read
        images = (column.task, column.content, *([column.probe] if column.is_measured else []))
        if self._truth.setdefault(images, truth) != truth:
            self.problems.append(f"{_name(row)}: not used, its test images are not those of the other rows")
            self._read[key] = _LOST
            return _LOST
        self._used.setdefault(row.path, {})[entry.label] = entry.kind
        if entry.kind != "reference" and not column.is_measured:
            is_perfect = measured.value >= 1 if column.sign > 0 else measured.value <= 0
            self._said.setdefault((entry.label, measured.seed, row.subject), {})[column] = (said, is_perfect)
        return measured

    def _read_anew(self, row: Any, column: Column) -> tuple[Measured, str, str] | str:
        try:
            if column.protocol_metric:
                return self._resampler.measure_as(row, column.metric)
            return self._resampler.measure(row)
        except MetricMisfit as error:
            return str(error)
        except StoreError as error:
            self.problems.append(f"{_name(row)}: not used, {error}")
            return _LOST

    def _why(self, entry: Entry, otherwise: str) -> str:
        reasons = dict.fromkeys(entry.reasons.get(subject, otherwise) for _, subject in entry.subjects)
        return "; ".join(reasons)


def _name(row: Any) -> str:
    """A score's file in the store."""
    return f"{row.subject}/scores/{row.task}.{row.probe}.{row.digest}.json"


def _step(row: Any) -> float:
    """The step of a score's weights; what states none is of the last."""
    return float("inf") if pd.isna(row.step) else int(row.step)


def _place(column: Column) -> tuple[str, ...]:
    return column.task, column.probe, column.bands, column.partition, str(column.step)


def _seed(row: Any) -> int | None:
    return None if pd.isna(row.seed) else int(row.seed)


def _partial(have: int, planned: int, reasons: dict[int | None, str]) -> str:
    missing = ", ".join(f"seed {seed}: {reason}" for seed, reason in reasons.items())
    return f"{have} of {planned} runs ({missing})"
