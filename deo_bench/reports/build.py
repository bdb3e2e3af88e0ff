"""Scores to tables: means, differences to the baseline row corrected for their number, and what leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deo_bench.errors import UserError, nearest
from deo_bench.reports.cells import Column, Found, Scores
from deo_bench.reports.entries import Entry, Kind, Scope
from deo_bench.reports.leaders import Leaders
from deo_bench.reports.statistics import difference, holm, mean_over_seeds
from deo_bench.reports.table import ABOVE_STUDENTS, ON_EDGE, Cell, Row, Table


def build_tables(
    finder: Scores, entries: Sequence[Entry], scope: Scope, against: str | None = None, sort: str = "plan"
) -> list[Table]:
    """One table a probe, protocol, band set and kind of weights; columns never mix any of them.

    against: the label of the row that differences are to, or `untrained`. sort: `plan`, or the task to sort by,
    best first.
    """
    labels = [entry.label for entry in entries]
    if len(set(labels)) < len(labels):
        raise ValueError(f"two rows of a report have one label: {labels}")
    base = None if against is None else baseline(entries, against)
    if sort != "plan" and sort not in scope.tasks:
        raise UserError(f"cannot sort by {sort!r}: it is no task of the report{nearest(sort, scope.tasks)}")
    made = []
    for protocol, probes in scope.protocols.items():
        for bands in scope.bands:
            for weights in scope.weights:
                for probe in probes:
                    columns = [finder.column(task, probe, protocol, bands, weights) for task in scope.tasks]
                    rows = _rows(finder, entries, columns, base)
                    if sort != "plan":
                        rows = _sorted(rows, scope.tasks.index(sort), columns)
                    to = base.title if base else None
                    made.append(Table(protocol, probe, bands, weights, tuple(columns), rows, to, scope.experiment))
    return made


def baseline(entries: Sequence[Entry], name: str) -> Entry:
    """The row of that label; `untrained` is also whichever row is the untrained student."""
    for entry in entries:
        if entry.label == name or (name == "untrained" and entry.is_untrained):
            return entry
    raise UserError(f"the report's baseline row {name!r} is not there{nearest(name, [e.label for e in entries])}")


def _rows(finder: Scores, entries: Sequence[Entry], columns: Sequence[Column], base: Entry | None) -> tuple[Row, ...]:
    made: dict[str, list[Cell]] = {entry.label: [] for entry in entries}
    leaders = Leaders()
    for column in columns:
        found = {entry.label: finder.find(entry, column) for entry in entries}
        cells = {label: _cell(one) for label, one in found.items()}
        if base is not None:
            reference = found[base.label]
            for entry in entries:
                if entry is not base and found[entry.label].scores and reference.scores:
                    gain = difference(found[entry.label].scores, reference.scores)
                    cells[entry.label] = replace(cells[entry.label], difference=gain)
        leaders.add({e.label: found[e.label].scores for e in entries if e.kind == "cell"}, column.sign)
        _mark_baselines(entries, found, cells, column)
        for label, cell in cells.items():
            made[label].append(cell)
    leaders.mark(made)
    _correct(made, [entry.label for entry in entries if entry.kind == "cell"])
    return tuple(
        Row(e.title, e.kind, len(e.subjects), tuple(made[e.label]), tuple(e.marks), tuple(e.teachers)) for e in entries
    )


def _correct(made: dict[str, list[Cell]], labels: Sequence[str]) -> None:
    """Holm's correction over a table's differences: every cell of the experiment on every task is one comparison."""
    places = [(label, i) for label in labels for i, cell in enumerate(made[label]) if cell.difference]
    p_values = [gain.p for label, i in places if (gain := made[label][i].difference)]
    for (label, i), p in zip(places, holm(p_values), strict=True):
        made[label][i] = replace(made[label][i], corrected=float(p))


def _cell(found: Found) -> Cell:
    if not found.scores:
        return Cell(reason=found.reason)
    notes = [*found.notes, *([ON_EDGE] if found.on_edge else [])]
    return Cell(mean_over_seeds(found.scores), notes=tuple(notes))


def _mark_baselines(entries: Sequence[Entry], found: dict[str, Found], cells: dict[str, Cell], column: Column) -> None:
    """Whatever was not trained here and stands above the best student is marked; a supervised reference may."""
    of_students = [
        estimate.value for entry in entries if entry.kind == "cell" and (estimate := cells[entry.label].estimate)
    ]
    if not of_students:
        return
    best = max(of_students, key=lambda value: column.sign * value)
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
