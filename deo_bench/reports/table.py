"""Scores to tables: what is best, what is missing and why, and the difference to a baseline row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from deo_bench.errors import UserError, nearest
from deo_bench.reports.cells import Column, Found, Scores
from deo_bench.reports.entries import Entry, Kind, Scope
from deo_bench.reports.statistics import Difference, Estimate, difference, mean_over_seeds

ABOVE_STUDENTS = "above every student"
ON_EDGE = "a setting that the probe chose lies on the edge of its grid"


@dataclass(frozen=True)
class Cell:
    """One number of a table: the mean, the difference to the baseline row, or the reason why there is none."""

    estimate: Estimate | None = None
    difference: Difference | None = None
    is_best: bool = False
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row: label, kind, number of runs, a cell a column, and footnotes of the whole row."""

    label: str
    kind: Kind
    runs: int
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """What one probe says under one protocol, of one band set and kind of weights: a column a task."""

    protocol: str
    probe: str
    bands: str
    weights: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    against: str | None
    experiment: str

    def block(self, *kinds: Kind) -> list[Row]:
        """The rows of these kinds."""
        return [row for row in self.rows if row.kind in kinds]


@dataclass
class Tables:
    """All tables of a report, the scores behind them, and what could not be used."""

    tables: list[Table] = field(default_factory=list)
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    problems: list[str] = field(default_factory=list)


def build_tables(
    frame: pd.DataFrame, entries: Sequence[Entry], scope: Scope, against: str | None = None, sort: str = "plan"
) -> Tables:
    """One table a probe, protocol, band set and kind of weights; columns never mix any of them.

    against: the label of the row that differences are to, or `untrained`. sort: `plan`, or the task to sort by,
    best first.
    """
    labels = [entry.label for entry in entries]
    if len(set(labels)) < len(labels):
        raise ValueError(f"two rows of a report have one label: {labels}")
    base = None if against is None else _baseline(entries, against)
    if sort != "plan" and sort not in scope.tasks:
        raise UserError(f"cannot sort by {sort!r}: it is no task of the report{nearest(sort, scope.tasks)}")
    scores = Scores(frame, entries, scope)
    made = Tables(problems=scores.problems)
    for protocol, probes in scope.protocols.items():
        for bands in scope.bands:
            for weights in scope.weights:
                for probe in probes:
                    columns = [scores.column(task, probe, protocol, bands, weights) for task in scope.tasks]
                    rows = _rows(scores, entries, columns, base)
                    if sort != "plan":
                        rows = _sorted(rows, scope.tasks.index(sort), columns)
                    made.tables.append(
                        Table(
                            protocol,
                            probe,
                            bands,
                            weights,
                            tuple(columns),
                            rows,
                            base.title if base else None,
                            scope.experiment,
                        )
                    )
    made.scores = scores.used()
    made.problems += scores.twins()
    return made


def _baseline(entries: Sequence[Entry], name: str) -> Entry:
    """The row of that label; `untrained` is also whichever row is the untrained student."""
    for entry in entries:
        if entry.label == name or (name == "untrained" and entry.is_untrained):
            return entry
    raise UserError(f"the report's baseline row {name!r} is not there{nearest(name, [e.label for e in entries])}")


def _rows(scores: Scores, entries: Sequence[Entry], columns: Sequence[Column], base: Entry | None) -> tuple[Row, ...]:
    made: dict[str, list[Cell]] = {entry.label: [] for entry in entries}
    for column in columns:
        found = {entry.label: scores.find(entry, column) for entry in entries}
        cells = {label: _cell(one) for label, one in found.items()}
        if base is not None:
            reference = found[base.label]
            for entry in entries:
                if entry is not base and found[entry.label].scores and reference.scores:
                    gain = difference(found[entry.label].scores, reference.scores)
                    cells[entry.label] = replace(cells[entry.label], difference=gain)
        _mark_best(entries, found, cells, column)
        _mark_baselines(entries, found, cells, column)
        for label, cell in cells.items():
            made[label].append(cell)
    return tuple(
        Row(e.title, e.kind, len(e.subjects), tuple(made[e.label]), tuple(e.marks), tuple(e.teachers)) for e in entries
    )


def _cell(found: Found) -> Cell:
    if not found.scores:
        return Cell(reason=found.reason)
    notes = [*found.notes, *([ON_EDGE] if found.on_edge else [])]
    return Cell(mean_over_seeds(found.scores), notes=tuple(notes))


def _ranked(entries: Iterable[Entry], cells: dict[str, Cell], column: Column) -> list[str]:
    """Labels of the experiment's cells, best first."""
    labels = [entry.label for entry in entries if entry.kind == "cell" and cells[entry.label].estimate]
    return sorted(labels, key=lambda label: -column.sign * _value(cells[label]))


def _mark_best(entries: Sequence[Entry], found: dict[str, Found], cells: dict[str, Cell], column: Column) -> None:
    """The best is marked only where the interval of its lead over the next excludes zero."""
    ranked = _ranked(entries, cells, column)
    if len(ranked) < 2:
        return
    lead = difference(found[ranked[0]].scores, found[ranked[1]].scores)
    if lead.is_resolved:
        cells[ranked[0]] = replace(cells[ranked[0]], is_best=True)


def _mark_baselines(entries: Sequence[Entry], found: dict[str, Found], cells: dict[str, Cell], column: Column) -> None:
    """Whatever was not trained here and stands above the best student is marked; a supervised reference may."""
    ranked = _ranked(entries, cells, column)
    if not ranked:
        return
    best = _value(cells[ranked[0]])
    for entry in entries:
        cell = cells[entry.label]
        if found[entry.label].is_trivial and cell.estimate and column.sign * (cell.estimate.value - best) > 0:
            cells[entry.label] = replace(cell, notes=(*cell.notes, ABOVE_STUDENTS))


def _sorted(rows: Sequence[Row], place: int, columns: Sequence[Column]) -> tuple[Row, ...]:
    sign = columns[place].sign
    kinds: list[Kind] = ["cell", "bound", "baseline", "reference"]
    return tuple(
        sorted(rows, key=lambda row: (kinds.index(row.kind), -sign * _value(row.cells[place], -sign * float("inf"))))
    )


def _value(cell: Cell, without: float = float("nan")) -> float:
    return cell.estimate.value if cell.estimate else without
