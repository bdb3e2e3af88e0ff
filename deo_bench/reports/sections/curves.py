"""Scores along the training and with fewer labels: curves, and folded away their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from deo_bench.errors import StoreError
from deo_bench.reports.answer import Answer
from deo_bench.reports.cells import Found
from deo_bench.reports.entries import Entry
from deo_bench.reports.figures.curves import Curve, Panel, curves_figure
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.section import Drawing, Section
from deo_bench.reports.sections.scores import figure_name
from deo_bench.reports.statistics import mean_over_seeds
from deo_bench.reports.table import Table
from deo_bench.reports.wording import estimate_text, metric_name, size
from deo_bench.store import Store

_MOST_ROWS = {1: 6, 2: 4}
"""Rows in one figure by the kinds of weights that each has: more, and nobody can follow them."""
_MOST_BESIDE = 2
_SHARE = re.compile(r"(\d+(?:\.\d+)?)x_train")


@dataclass(frozen=True)
class _Point:
    """The scores of a row at one place of the x axis; heading: what the table calls it."""

    heading: str
    x: float
    found: Found


@dataclass(frozen=True)
class _Row:
    """A row with one kind of weights: its points by task."""

    entry: Entry
    is_ema: bool
    points: dict[str, tuple[_Point, ...]]

    @property
    def label(self) -> str:
        """What the table calls it."""
        return f"{self.entry.title}, ema" if self.is_ema else self.entry.title


def sections(answer: Answer) -> list[Section]:
    """Learning curves where steps were scored, few-label curves where smaller fits were; nothing elsewhere."""
    return [*_learning(answer), *_few_labels(answer)]


def _learning(answer: Answer) -> list[Section]:
    frame = answer.frame
    asked = frame if answer.scope.digests is None else frame[frame["digest"].isin(answer.scope.digests)]
    of_cells = {subject for entry in answer.entries if entry.kind == "cell" for _, subject in entry.subjects}
    of_steps = asked[asked["step"].notna() & asked["subject"].isin(of_cells)]
    steps = sorted({int(step) for step in of_steps["step"]})
    if not steps:
        return []
    ends = {entry.label: _end(answer, entry) for entry in answer.entries if entry.kind == "cell"}
    untrained = [entry for entry in answer.entries if entry.is_untrained]
    made = []
    for table in _first_weights(answer):
        rows = []
        for entry, weights in _cells(answer, of_cells):
            points = {
                task: tuple(_along(answer, table, entry, weights, task, steps, ends[entry.label], untrained))
                for task in answer.scope.tasks
            }
            rows.append(_Row(entry, weights == "ema", points))
        start = " Step 0 is the untrained student." if len(untrained) == 1 else ""
        caption = (
            f"Percent on test images against steps of training; means over seeds with 95 % intervals over seeds and "
            f"test images, at each step by itself.{start} Of {_where(table)}."
        )
        made += _sections(answer, table, rows, "Learning curves", "curves", "steps of training", caption)
    return made


def _along(
    answer: Answer, table: Table, entry: Entry, weights: str, task: str, steps: Sequence[int], end: int | None,
    untrained: Sequence[Entry],
) -> Iterator[_Point]:  # fmt: skip
    """A row's points on a task from the untrained student to the last weights; each step once."""
    at = (task, table.probe, table.protocol, table.bands)
    if len(untrained) == 1:
        yield _Point("step 0", 0, answer.finder.find(untrained[0], answer.finder.column(*at, "student")))
    for step in steps:
        if step != end:
            found = answer.finder.find(entry, answer.finder.column(*at, weights, step=step))
            if found.scores or end is None or step < end:
                yield _Point(f"step {step:,}", step, found)
    if end is not None:
        yield _Point(f"step {end:,}", end, answer.finder.find(entry, answer.finder.column(*at, weights)))


def _few_labels(answer: Answer) -> list[Section]:
    frame = answer.frame
    asked = frame if answer.scope.digests is None else frame[frame["digest"].isin(answer.scope.digests)]
    subjects = {subject for entry in answer.entries for _, subject in entry.subjects}
    names = sorted({str(name) for name in asked[asked["subject"].isin(subjects)]["partition"]}, key=_share)
    if len([name for name in names if np.isfinite(_share(name))]) < 2:
        return []
    unknown = [name for name in names if not np.isfinite(_share(name))]
    whole = "1.00x_train" in names  # drawn anew, so it stands for itself
    names = [name for name in names if name not in unknown and not (whole and name == "default")]
    counted = all(name in answer.scope.labelled.get(task, {}) for task in answer.scope.tasks for name in names)
    of_cells = {subject for entry in answer.entries if entry.kind == "cell" for _, subject in entry.subjects}
    beside = [entry for entry in answer.entries if entry.kind == "baseline" and not entry.is_untrained][:_MOST_BESIDE]
    beside = [*[e for e in answer.entries if e.kind == "baseline" and e.is_untrained], *beside]
    made = []
    for table in _first_weights(answer):
        rows = []
        for entry, weights in [*_cells(answer, of_cells, True), *((entry, "student") for entry in beside)]:
            points = {}
            for task in answer.scope.tasks:
                at = (task, table.probe, table.protocol, table.bands, weights)
                points[task] = tuple(
                    _Point(
                        f"{100 * _share(name):g} %",
                        answer.scope.labelled[task][name] if counted else 100 * _share(name),
                        answer.finder.find(entry, answer.finder.column(*at, partition=name)),
                    )
                    for name in names
                )
            rows.append(_Row(entry, weights == "ema", points))
        against = "labelled images to fit the probe on" if counted else "percent of the labelled images"
        left = f" Left out, since their names tell no share: {', '.join(unknown)}." if unknown else ""
        caption = (
            "Percent on test images against the labels that the probe is fitted on; everything else is the same. Means "
            f"over seeds with 95 % intervals over seeds and test images, each by itself.{left} Of {_where(table)}."
        )
        made += _sections(answer, table, rows, "With fewer labels", "labels", against, caption)
    return made


def _share(partition: str) -> float:
    """What share of the labels a partition has, by its name as GEO-Bench has them; infinite where it tells none."""
    if partition == "default":
        return 1.0
    match = _SHARE.fullmatch(partition)
    return float(match[1]) if match else float("inf")


def _first_weights(answer: Answer) -> list[Table]:
    """A table for each protocol and band set of the main ones; the kinds of weights share a figure."""
    first: dict[tuple[str, str, str], Table] = {}
    for table in answer.main:
        first.setdefault((table.protocol, table.probe, table.bands), table)
    return list(first.values())


def _cells(answer: Answer, subjects: set[str], with_untrained: bool = False) -> list[tuple[Entry, str]]:
    """The cells with each kind of weights that they have scores of."""
    frame = answer.frame[answer.frame["subject"].isin(subjects)]
    have = set(zip(frame["subject"], frame["weights"], strict=True))
    return [
        (entry, weights)
        for entry in answer.entries
        if entry.kind == "cell" and (with_untrained or not entry.is_untrained)
        for weights in answer.scope.weights
        if any((subject, weights) in have for _, subject in entry.subjects)
    ]


def _end(answer: Answer, entry: Entry) -> int | None:
    """The step of a cell's last weights, as its runs say; none where none does."""
    for _, subject in entry.subjects:
        try:
            steps = Store(answer.store).run(subject).info.get("steps")
        except StoreError:
            continue
        if isinstance(steps, int):
            return steps
    return None


def _sections(
    answer: Answer, table: Table, rows: Sequence[_Row], title: str, kind: str, against: str, caption: str
) -> list[Section]:
    """The figures in one section, their numbers in a folded one."""
    tasks = [
        task for task in answer.scope.tasks
        if any(sum(bool(point.found.scores) for point in row.points[task]) > 1 for row in rows if _is_own(row))
    ]  # fmt: skip
    if not tasks:
        return []
    among = _first_weights(answer)
    named = f"{title}: {_where(table)}" if len(among) > 1 else title
    drawings = tuple(_drawings(table, rows, tasks, figure_name(kind, table, among), against, caption))
    grid = _grid(table, rows, tasks, kind, caption)
    return [
        Section(named, drawings, shown="page"),
        Section(f"{named}, the numbers", (grid,), shown="folded"),
    ]


def _drawings(
    table: Table, rows: Sequence[_Row], tasks: Sequence[str], name: str, against: str, caption: str
) -> Iterator[Drawing]:
    """As few figures as the rows fit in; in each, the rows of the others are grey."""
    own = list(dict.fromkeys(row.entry.label for row in rows if _is_own(row)))
    most = _MOST_ROWS[2 if any(row.is_ema for row in rows) else 1]
    parts = np.array_split(np.arange(len(own)), -(-len(own) // most))
    where = f"{table.protocol}, {table.probe}, {table.bands}"
    for number, part in enumerate(parts, 1):
        shown = {own[place] for place in part}
        panels = tuple(_panel(table, rows, task, shown) for task in tasks)
        draw = partial(curves_figure, panels, against, where)
        yield Drawing(f"{name}{f'-{number}' * (len(parts) > 1)}", draw, caption)


def _panel(table: Table, rows: Sequence[_Row], task: str, shown: set[str]) -> Panel:
    column = next(column for column in table.columns if column.task == task)
    curves, behind = [], []
    for row in rows:
        points = tuple((p.x, mean_over_seeds(p.found.scores)) for p in row.points[task] if p.found.scores)
        curve = Curve(row.entry.title, tuple(row.entry.teachers), points, row.is_ema, not _is_own(row))
        if points and (row.entry.label in shown or not _is_own(row)):
            curves.append(curve)
        elif points and not row.is_ema:
            behind.append(curve)
    return Panel(f"{task}\n{metric_name(column)}\n{size(column)}", tuple(curves), tuple(behind))


def _grid(table: Table, rows: Sequence[_Row], tasks: Sequence[str], kind: str, caption: str) -> Grid:
    number = Footnotes()
    headings: dict[str, float] = {}
    for row in rows:
        for points in row.points.values():
            headings |= {point.heading: point.x for point in points}
    order = sorted(headings, key=lambda heading: headings[heading]) if kind == "curves" else list(headings)
    blocks = []
    for task in tasks:
        lines = []
        for row in rows:
            slots = {point.heading: _slot(point.found, number) for point in row.points[task]}
            lines.append(Line(row.label, None, tuple(slots.get(heading, Slot(HOLE)) for heading in order)))
        column = next(column for column in table.columns if column.task == task)
        blocks.append((f"{task}, {metric_name(column)}, {size(column)}", tuple(lines)))
    told = tuple(Heading(heading) for heading in order)
    return Grid(kind, "", caption, told, tuple(blocks), tuple(number.notes))


def _slot(found: Found, number: Footnotes) -> Slot:
    if not found.scores:
        return Slot(HOLE, notes=number([found.reason]))
    return Slot(estimate_text(mean_over_seeds(found.scores)), notes=number(found.notes))


def _is_own(row: _Row) -> bool:
    return row.entry.kind == "cell"


def _where(table: Table) -> str:
    return f"protocol {table.protocol}, probe {table.probe}, bands {table.bands}"
