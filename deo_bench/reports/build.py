"""Scores to tables: means, differences to the baseline row corrected for their number, and what leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from deo_bench.errors import UserError, nearest
from deo_bench.recipe.naming import short_names, value_text
from deo_bench.reports.cells import Column, Found, Scores
from deo_bench.reports.entries import Axis, Entry, Kind, Scope
from deo_bench.reports.leaders import Leaders
from deo_bench.reports.statistics import difference, holm, mean_over_seeds
from deo_bench.reports.table import ABOVE_STUDENTS, ON_EDGE, Cell, Row, Table

AXES: tuple[Axis, ...] = ("task", "bands", "weights", "probe", "partition", "step")
"""What tables are told apart by, the slowest first."""
KINDS: tuple[Kind, ...] = ("cell", "bound", "baseline", "reference")
OTHERS = "others"
"""The block of the cells that do not set what the others are grouped by."""


@dataclass(frozen=True)
class Layout:
    """How tables are laid out.

    columns: what stands side by side, the slowest first; shown: labels of the rows, in order, none for all; group: the
    dotted path whose values make blocks of rows; metric: another than the protocol's.
    """

    columns: Sequence[Axis] = ("task",)
    shown: Sequence[str] | None = None
    group: str | None = None
    metric: str | None = None


def build_tables(
    finder: Scores,
    entries: Sequence[Entry],
    scope: Scope,
    against: str | None = None,
    sort: str = "plan",
    layout: Layout = Layout(),
) -> list[Table]:
    """Tables of one protocol each, which are never mixed; of what is not side by side, each has tables of its own.

    against: the label of the row that differences are to, or `untrained`, shown or not. sort: `plan`, or the task to
    sort by, best first.
    """
    labels = [entry.label for entry in entries]
    if len(set(labels)) < len(labels):
        raise ValueError(f"two rows of a report have one label: {labels}")
    base = None if against is None else baseline(entries, against)
    if sort != "plan" and sort not in scope.tasks:
        raise UserError(f"cannot sort by {sort!r}: it is no task of the report{nearest(sort, scope.tasks)}")
    by_label = {entry.label: entry for entry in entries}
    shown = [by_label[label] for label in (labels if layout.shown is None else layout.shown)]
    groups = _groups(entries, layout.group)
    made = []
    for protocol, columns in _columns(finder, scope, layout):
        # What is not shown is compared all the same: hiding a row makes nothing else more certain.
        looked_at = [entry for entry in entries if entry.kind == "cell" or entry in shown]
        every = {row.label: row for row in _rows(finder, looked_at, columns, base, groups)}
        rows = _ordered([every[entry.title] for entry in shown], columns, sort, list(dict.fromkeys(groups.values())))
        said = {axis: _said(columns, axis) for axis in AXES}
        made.append(Table(
            protocol, said["probe"], said["bands"], said["weights"], tuple(columns), rows, base.title if base else None,
            scope.experiment, said["partition"], said["step"],
            sum(cell.corrected is not None for row in every.values() for cell in row.cells),
        ))  # fmt: skip
    return made


def baseline(entries: Sequence[Entry], name: str) -> Entry:
    """The row of that label; `untrained` is also whichever row is the untrained student."""
    for entry in entries:
        if entry.label == name or (name == "untrained" and entry.is_untrained):
            return entry
    raise UserError(f"the report's baseline row {name!r} is not there{nearest(name, [e.label for e in entries])}")


def _columns(finder: Scores, scope: Scope, layout: Layout) -> Iterator[tuple[str, list[Column]]]:
    """The columns of each table, with its protocol."""
    apart = [axis for axis in AXES if axis not in layout.columns]
    for protocol, probes in scope.protocols.items():
        levels: dict[Axis, Sequence[Any]] = {
            "task": scope.tasks, "bands": scope.bands, "weights": scope.weights, "probe": probes,
            "partition": scope.partitions, "step": scope.steps,
        }  # fmt: skip
        for fixed in product(*(levels[axis] for axis in apart)):
            found = []
            for varying in product(*(levels[axis] for axis in layout.columns)):
                at: dict[Axis, Any] = dict(zip([*apart, *layout.columns], [*fixed, *varying], strict=True))
                found.append(finder.column(
                    at["task"], at["probe"], protocol, at["bands"], at["weights"], at["partition"], at["step"],
                    layout.metric,
                ))  # fmt: skip
            if found:
                yield protocol, found


def _said(columns: Sequence[Column], axis: Axis) -> str:
    """What the columns are of, as a title says it."""
    values = dict.fromkeys(getattr(column, axis) for column in columns)
    return ", ".join("last" if value is None else str(value) for value in values)


def _groups(entries: Sequence[Entry], path: str | None) -> dict[str, str]:
    """The block of every cell, by its label; nothing where rows are not grouped."""
    if path is None:
        return {}
    cells = [entry for entry in entries if entry.kind == "cell"]
    name = short_names({other for entry in cells for other in entry.settings}).get(path, path)
    return {
        entry.label: f"{name} = {value_text(entry.settings[path])}" if path in entry.settings else OTHERS
        for entry in sorted(cells, key=lambda entry: path not in entry.settings)
    }


def _rows(
    finder: Scores,
    entries: Sequence[Entry],
    columns: Sequence[Column],
    base: Entry | None,
    groups: Mapping[str, str],
) -> tuple[Row, ...]:
    made: dict[str, list[Cell]] = {entry.label: [] for entry in entries}
    leaders = Leaders()
    for column in columns:
        found = {entry.label: finder.find(entry, column) for entry in entries}
        cells = {e.label: _cell(found[e.label], e, column) for e in entries}
        if base is not None:
            reference = found[base.label] if base.label in found else finder.find(base, column)
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
        Row(
            e.title, e.kind, len(e.subjects), tuple(made[e.label]), tuple(e.marks), tuple(e.teachers),
            groups.get(e.label, ""),
        )
        for e in entries
    )  # fmt: skip


def _correct(made: dict[str, list[Cell]], labels: Sequence[str]) -> None:
    """Holm's correction over a table's differences: every cell of the experiment in every column is one comparison."""
    places = [(label, i) for label in labels for i, cell in enumerate(made[label]) if cell.difference]
    p_values = [gain.p for label, i in places if (gain := made[label][i].difference)]
    for (label, i), p in zip(places, holm(p_values), strict=True):
        made[label][i] = replace(made[label][i], corrected=float(p))


def _cell(found: Found, entry: Entry, column: Column) -> Cell:
    if not found.scores:
        return Cell(reason=found.reason)
    notes = [*found.notes, *([ON_EDGE] if found.on_edge else [])]
    return Cell(mean_over_seeds(found.scores), notes=tuple(notes), seen=tuple(entry.seen.get(column.task, ())))


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


def _ordered(rows: Sequence[Row], columns: Sequence[Column], sort: str, groups: Sequence[str]) -> tuple[Row, ...]:
    """Rows of a group together; by a task where it has a column, best first within a kind and a group."""
    place = next((i for i, column in enumerate(columns) if column.task == sort), None)

    def key(row: Row) -> tuple[float, ...]:
        group = groups.index(row.group) if row.group else len(groups)
        if place is None:
            return (group,)
        sign = columns[place].sign
        return (KINDS.index(row.kind), group, -sign * _value(row.cells[place], -sign * float("inf")))

    return tuple(sorted(rows, key=key))


def _value(cell: Cell, without: float) -> float:
    return cell.estimate.value if cell.estimate else without
