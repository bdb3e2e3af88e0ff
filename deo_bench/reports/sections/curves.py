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
from deo_bench.reports.places import Place, asked_for, places_of, rows_of, with_weights
from deo_bench.reports.section import Drawing, Section
from deo_bench.reports.statistics import mean_over_seeds
from deo_bench.reports.wording import begun, estimate_text
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

    @property
    def is_own(self) -> bool:
        """Whether it is a cell of the experiment, not a baseline beside them."""
        return self.entry.kind == "cell"


def sections(answer: Answer) -> list[Section]:
    """Learning curves where steps were scored, few-label curves where smaller fits were; nothing elsewhere."""
    return [*_learning(answer), *_few_labels(answer)]


def _learning(answer: Answer) -> list[Section]:
    entries = rows_of(answer, "cell")
    steps = sorted({int(step) for step in asked_for(answer, entries)["step"].dropna()})
    if not steps:
        return []
    ends = {entry.label: _end(answer, entry) for entry in entries}
    untrained = [entry for entry in answer.entries if entry.is_untrained]
    start = " Step 0 is the untrained student." if len(untrained) == 1 else ""
    made = []
    for place in places_of(answer):
        rows = []
        for entry, weights in with_weights(answer, [entry for entry in entries if not entry.is_untrained]):
            points = {
                task: tuple(_along(place, entry, weights, task, steps, ends[entry.label], untrained))
                for task in answer.scope.tasks
            }
            rows.append(_Row(entry, weights == "ema", points))
        caption = (
            f"{begun(place.scale)} on test images against steps of training; means over seeds with 95 % intervals "
            f"over seeds and test images, at each step by itself.{start} Of {place.told}."
        )
        made += _sections(place, rows, "Learning curves", "curves", "steps of training", caption)
    return made


def _along(
    place: Place, entry: Entry, weights: str, task: str, steps: Sequence[int], end: int | None,
    untrained: Sequence[Entry],
) -> Iterator[_Point]:  # fmt: skip
    """A row's points on a task from the untrained student to the last weights; each step once."""
    if len(untrained) == 1:
        yield _Point("step 0", 0, place.find(untrained[0], task, "student"))
    for step in steps:
        if end is None or step < end:
            yield _Point(f"step {step:,}", step, place.find(entry, task, weights, step=step))
    if end is not None:
        yield _Point(f"step {end:,}", end, place.find(entry, task, weights))


def _few_labels(answer: Answer) -> list[Section]:
    beside = [entry for entry in rows_of(answer, "baseline") if entry.is_untrained]
    beside += [entry for entry in rows_of(answer, "baseline") if not entry.is_untrained][:_MOST_BESIDE]
    entries = rows_of(answer, "cell")
    every = sorted(set(asked_for(answer, [*entries, *beside])["partition"]))
    names = sorted((name for name in every if _share(name) is not None), key=_size_of)
    if "1.00x_train" in names and "default" in names:
        names.remove("default")  # the other is drawn anew, and stands for itself
    if len(names) < 2:
        return []
    labelled = answer.scope.labelled
    counted = all(name in labelled.get(task, {}) for task in answer.scope.tasks for name in names)

    def at(task: str, name: str) -> float:
        return labelled[task][name] if counted else 100 * _size_of(name)

    unknown = [name for name in every if _share(name) is None]
    left = f" Left out, since their names tell no share: {', '.join(unknown)}." if unknown else ""
    made = []
    for place in places_of(answer):
        rows = []
        for entry, weights in [*with_weights(answer, entries), *((entry, "student") for entry in beside)]:
            points = {
                task: tuple(
                    _Point(f"{100 * _size_of(name):g} %", at(task, name), place.find(entry, task, weights, name))
                    for name in names
                )
                for task in answer.scope.tasks
            }
            rows.append(_Row(entry, weights == "ema", points))
        caption = (
            f"{begun(place.scale)} on test images against the labels that the probe is fitted on; everything else is "
            "the same. Means over seeds with 95 % intervals over seeds and test images, each by itself."
            f"{left} Of {place.told}."
        )
        against = "labelled images" if counted else "percent of the labelled images"
        made += _sections(place, rows, "With fewer labels", "labels", against, caption)
    return made


def _share(partition: str) -> float | None:
    """What share of the labels a partition has, by its name as GEO-Bench has them; none where it tells none."""
    if partition == "default":
        return 1.0
    match = _SHARE.fullmatch(partition)
    return float(match[1]) if match and float(match[1]) > 0 else None


def _size_of(partition: str) -> float:
    return _share(partition) or 0.0


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


def _sections(place: Place, rows: Sequence[_Row], title: str, kind: str, against: str, caption: str) -> list[Section]:
    """The figures in one section, their numbers in a folded one."""
    tasks = [
        task
        for task in place.answer.scope.tasks
        if any(sum(bool(point.found.scores) for point in row.points[task]) > 1 for row in rows if row.is_own)
    ]
    if not tasks:
        return []
    drawings = tuple(_drawings(place, rows, tasks, kind, against, caption))
    return [
        Section(place.title(title), drawings, shown="page"),
        Section(place.title(f"{title}, the numbers"), (_grid(place, rows, tasks, kind, caption),), shown="folded"),
    ]


def _drawings(
    place: Place, rows: Sequence[_Row], tasks: Sequence[str], kind: str, against: str, caption: str
) -> Iterator[Drawing]:
    """As few figures as the rows fit in; in each, the rows of the others are grey."""
    own = list(dict.fromkeys(row.entry.label for row in rows if row.is_own))
    most = _MOST_ROWS[1 + any(row.is_ema for row in rows)]
    parts = np.array_split(np.arange(len(own)), -(-len(own) // most))
    for number, part in enumerate(parts, 1):
        shown = {own[index] for index in part}
        panels = tuple(_panel(place, rows, task, shown) for task in tasks)
        name = f"{place.name(kind)}{f'-{number}' * (len(parts) > 1)}"
        yield Drawing(name, partial(curves_figure, panels, against, place.brief), caption)


def _panel(place: Place, rows: Sequence[_Row], task: str, shown: set[str]) -> Panel:
    curves, behind = [], []
    for row in rows:
        points = tuple((p.x, mean_over_seeds(p.found.scores)) for p in row.points[task] if p.found.scores)
        curve = Curve(row.entry.title, tuple(row.entry.teachers), points, row.is_ema, not row.is_own)
        if points and (row.entry.label in shown or not row.is_own):
            curves.append(curve)
        elif points and not row.is_ema:
            behind.append(curve)
    return Panel(place.heading(task), tuple(curves), tuple(behind))


def _grid(place: Place, rows: Sequence[_Row], tasks: Sequence[str], kind: str, caption: str) -> Grid:
    number = Footnotes()
    headings = {point.heading: point.x for row in rows for points in row.points.values() for point in points}
    # Tasks differ in how many labels a share is, not in the order of shares.
    order = sorted(headings, key=lambda heading: headings[heading])
    blocks = []
    for task in tasks:
        lines = []
        for row in rows:
            slots = {point.heading: _slot(point.found, number) for point in row.points[task]}
            lines.append(Line(row.label, None, tuple(slots.get(heading, Slot(HOLE)) for heading in order)))
        blocks.append((place.heading(task).replace("\n", ", "), tuple(lines)))
    told = tuple(Heading(heading) for heading in order)
    return Grid(kind, "", caption, told, tuple(blocks), tuple(number.notes))


def _slot(found: Found, number: Footnotes) -> Slot:
    if not found.scores:
        return Slot(HOLE, notes=number([found.reason]))
    return Slot(estimate_text(mean_over_seeds(found.scores)), notes=number(found.notes))
