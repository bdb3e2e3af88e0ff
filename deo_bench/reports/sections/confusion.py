"""What the best rows take for what: confusion matrices of single-label tasks, F1 a class of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from deo_bench.errors import StoreError
from deo_bench.reports.answer import Answer
from deo_bench.reports.entries import Entry
from deo_bench.reports.figures.confusion import Bars, Matrix, confusion_figure
from deo_bench.reports.places import Place, places_of, rows_of
from deo_bench.reports.predictions import Predictions, read_predictions
from deo_bench.reports.section import Drawing, Section
from deo_bench.reports.statistics import mean_over_seeds
from deo_bench.reports.wording import metric_word

WITHOUT_CLASSES = ("rmse", "mae", "r2", "mean", "mean_cost", "mean_rate")
"""Metrics of scores that are no decisions among classes."""
_MOST_TASKS = 4
_MOST_BARS = 2
_DECIDED = 0.5


@dataclass(frozen=True)
class Confusion:
    """Decisions of one row on a task, summed over its runs.

    counts: [K, K] images of class i taken for class j, or of several labels at once [K, 3] hits, false alarms and
    misses; runs: how many were summed; is_dense: pixels and not images are counted.
    """

    counts: np.ndarray
    runs: int
    is_multi: bool
    is_dense: bool = False

    @property
    def shares(self) -> np.ndarray:
        """Of the images of each class [K], the share taken for each class; a class without images is all zero."""
        total = self.counts.sum(1, keepdims=True)
        return np.divide(self.counts, total, out=np.zeros(self.counts.shape), where=total > 0)

    @property
    def f1(self) -> np.ndarray:
        """2 hits / (2 hits + false alarms + misses) of each class [K]; 0 where that is 0 / 0."""
        hits, wrong, missed = self.counts.T
        below = 2 * hits + wrong + missed
        return np.divide(2 * hits, below, out=np.zeros(len(hits)), where=below > 0)

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class [K]; 0 where that is 0 / 0."""
        hits = np.diag(self.counts)
        below = self.counts.sum(1) + self.counts.sum(0) - hits
        return np.divide(hits, below, out=np.zeros(len(hits)), where=below > 0)

    @property
    def support(self) -> np.ndarray:
        """Images of each class [K] in the test split, or pixels."""
        there = self.counts[:, 0] + self.counts[:, 2] if self.is_multi else self.counts.sum(1)
        return np.asarray(there / self.runs)


def sections(answer: Answer) -> list[Section]:
    """One section: the rows that the report names, else the best cell of each task; nothing without predictions."""
    drawings = [drawing for place in places_of(answer) for drawing in _drawings(place)]
    lacking = dict.fromkeys(
        f"{task} ({metric_word(column.metric, column.probe)})"
        for place in places_of(answer)
        for task in answer.scope.tasks
        if (column := place.column(task, answer.scope.weights[0])).metric in WITHOUT_CLASSES
    )
    notes = (f"Left out, since nothing is taken for a class there: {', '.join(lacking)}.",) if lacking else ()
    return [Section("Confusion matrices", tuple(drawings), notes, "page")] if drawings else []


def confusion(found: Sequence[Predictions], classes: int) -> Confusion:
    """Decisions of several runs on the same test images, summed; labels that come together are set above 0.5."""
    if found[0].scores.ndim == 3:
        pixels = np.sum([one.scores.sum(0, dtype=np.int64) for one in found], axis=0)
        return Confusion(pixels.astype(np.float64), len(found), is_multi=False, is_dense=True)
    is_multi = found[0].truth.ndim == 2
    counts = np.zeros((classes, 3 if is_multi else classes))
    for one in found:
        if is_multi:
            truth, said = one.truth.astype(bool), one.scores > _DECIDED
            counts += np.stack([(truth & said).sum(0), (~truth & said).sum(0), (truth & ~said).sum(0)], 1)
        else:
            said = one.scores.argmax(1) if one.predicted is None else one.predicted
            np.add.at(counts, (one.truth.astype(int), said.astype(int)), 1)
    return Confusion(counts, len(found), is_multi)


def _drawings(place: Place) -> Iterator[Drawing]:
    answer = place.answer
    named = [entry for entry in answer.entries if entry.label in answer.spec.confusion]
    named.sort(key=lambda entry: answer.spec.confusion.index(entry.label))
    tasks = [(task, named or _best(place, task)) for task in answer.scope.tasks]
    panels: list[tuple[str, list[Matrix | Bars]]] = []
    for task, entries in tasks:
        if made := _panels(place, task, entries):
            panels.append((task, made))
    if not panels:
        return
    if not named:
        together = [panel for _, made in panels[:_MOST_TASKS] for panel in made]
        caption = _caption(
            place, together, "The row with the highest mean of each task, whether or not its lead is resolved."
        )
        yield Drawing(place.name("confusion"), partial(confusion_figure, tuple(together), place.brief), caption)
        return
    for task, made in panels:
        caption = _caption(place, made, f"Of {task}.")
        yield Drawing(place.name(f"confusion-{task}"), partial(confusion_figure, tuple(made), place.brief), caption)


def _best(place: Place, task: str) -> list[Entry]:
    """The cell whose mean is best, the first of those alike."""
    weights = place.answer.scope.weights[0]
    sign = place.column(task, weights).sign
    found = [(entry, place.find(entry, task, weights).scores) for entry in rows_of(place.answer, "cell")]
    scored = [(sign * mean_over_seeds(scores).value, entry) for entry, scores in found if scores]
    return [max(scored, key=lambda pair: pair[0])[1]] if scored else []


def _panels(place: Place, task: str, entries: Sequence[Entry]) -> list[Matrix | Bars]:
    """A matrix a row, and of two their difference; of labels that come together one panel of bars."""
    read = {entry.label: _read(place, task, entry) for entry in entries}
    shown = [entry for entry in entries if read[entry.label]]
    if not shown:
        return []
    every = [one for found in read.values() for one in found]
    names = _names(place, task, every)
    made = {entry.label: confusion(read[entry.label], len(names)) for entry in shown}
    first = made[shown[0].label]
    if first.is_multi:
        values = {entry.title: made[entry.label].f1 for entry in shown}
        title = task if len(shown) > 1 else f"{task}\n{shown[0].title}"
        of = {entry.title: tuple(entry.teachers) for entry in shown}
        return [Bars(title, names, values, of, first.support)]
    counted = "pixels" if first.is_dense else "images"
    panels: list[Matrix | Bars] = [
        Matrix(f"{task}\n{entry.title}", names, made[entry.label].shares, made[entry.label].support, of=counted)
        for entry in shown
    ]
    if len(shown) == 2:
        other = made[shown[1].label]
        title = f"{task}\nfirst minus second, points"
        panels.append(Matrix(title, names, first.shares - other.shares, first.support, True, counted))
    if first.is_dense:
        teachers = {entry.title: tuple(entry.teachers) for entry in shown[:_MOST_BARS]}
        values = {entry.title: made[entry.label].iou for entry in shown[:_MOST_BARS]}
        title = f"{task}, each class" if len(values) > 1 else f"{task}, each class\n{shown[0].title}"
        panels.append(Bars(title, names, values, teachers, first.support, "IoU", counted))
    return panels


def _read(place: Place, task: str, entry: Entry) -> list[Predictions]:
    """The predictions of a row's runs on the test images that its column is of; what is torn is told elsewhere."""
    column = place.column(task, place.answer.scope.weights[0])
    if (column.protocol_metric or column.metric) in WITHOUT_CLASSES:
        return []
    found = []
    for path in place.paths(entry, task):
        try:
            found.append(read_predictions(Path(path)))
        except StoreError:
            continue
    fitting = [one for one in found if _alike(one, found[0])]
    return [one for one in fitting if np.array_equal(one.truth, found[0].truth)]


def _alike(one: Predictions, other: Predictions) -> bool:
    """Whether two are decisions among the same classes for as many images; numbers are no decisions."""
    shapes = one.truth.shape == other.truth.shape and one.scores.shape[2:] == other.scores.shape[2:]
    return shapes and one.truth.dtype.kind != "f"


def _names(place: Place, task: str, found: Sequence[Predictions]) -> tuple[str, ...]:
    """The classes' names, or their numbers where the task says none."""
    if found[0].truth.ndim == 2:
        count = found[0].truth.shape[1]
    else:
        said = [one.predicted for one in found if one.predicted is not None]
        count = 1 + int(max(array.max() for array in [*(one.truth for one in found), *said]))
        count = max(count, *(one.scores.shape[1] for one in found))
    names = tuple(place.answer.scope.classes.get(task, ()))
    return names if len(names) == count else tuple(str(number) for number in range(count))


def _caption(place: Place, panels: Sequence[Matrix | Bars], which: str) -> str:
    parts = [which]
    if any(isinstance(panel, Matrix) for panel in panels):
        parts.append(
            "Rows: the true class; columns: the predicted one; percent of the row, all seeds together; shares that "
            "round to 0 are left empty."
        )
    if any(isinstance(panel, Matrix) and panel.is_difference for panel in panels):
        parts.append("The difference is the first matrix minus the second, in points.")
    if any(panel.of == "pixels" for panel in panels):
        parts.append("Where every pixel has a class, pixels of all test images are counted; bars: IoU of each class.")
    if any(isinstance(panel, Bars) and panel.of == "images" for panel in panels):
        parts.append(
            "Bars: F1 of each class in percent, a label being set where its score is above 0.5, all seeds together."
        )
    of = " and ".join(dict.fromkeys(panel.of for panel in panels))
    parts.append(f"On the right the test {of} of each class. Of {place.told}.")
    return " ".join(parts)
