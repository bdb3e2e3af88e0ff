"""Predicted maps: what each row takes the pixels of a few test images for, beside what is true of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from deo_bench.errors import StoreError
from deo_bench.reports.answer import Answer
from deo_bench.reports.entries import Entry
from deo_bench.reports.figures.maps import MOST_ACROSS
from deo_bench.reports.figures.segmentation import Maps, segmentation_figure
from deo_bench.reports.places import Place, places_of, rows_of
from deo_bench.reports.predictions import Predictions, read_predictions
from deo_bench.reports.section import Drawing, Section

MOST_ROWS = 14
"""Rows that are drawn of each task where the report names none: two figures of them."""


@dataclass(frozen=True)
class Shown:
    """One row's maps [M, H, W] of classes, and the predictions that they are from."""

    title: str
    of: Predictions

    @property
    def maps(self) -> np.ndarray:
        """What is predicted."""
        assert self.of.shown is not None
        return self.of.shown.astype(np.int64)

    def right(self, truth: np.ndarray) -> float:
        """The share of the labelled pixels of these maps that are right; truth: -1 where there is no label."""
        known = truth >= 0
        return float((self.maps == truth)[known].mean()) if known.any() else float("nan")


def sections(answer: Answer) -> list[Section]:
    """A figure for each task whose predictions hold maps of classes; nothing elsewhere."""
    notes: dict[str, None] = {}
    drawings = [
        drawing
        for place in places_of(answer)
        for task in answer.scope.tasks
        for drawing in _drawings(place, task, notes)
    ]
    return [Section("Predicted maps", tuple(drawings), tuple(notes), "page")] if drawings else []


def labelled(found: Predictions) -> np.ndarray:
    """The true maps [M, H, W], -1 at pixels that are ignored: those of no class, or of one that was not counted."""
    assert found.shown_truth is not None and found.shown_images is not None
    truth, counts = found.shown_truth.astype(np.int64), found.truth[found.shown_images]
    classes = counts.shape[1]
    inside = (truth >= 0) & (truth < classes)
    counted = counts[np.arange(len(truth))[:, None, None], truth.clip(0, classes - 1)] > 0
    return np.where(inside & counted, truth, -1)


def _drawings(place: Place, task: str, notes: dict[str, None]) -> Iterator[Drawing]:
    rows = _rows(place.answer, notes)
    found = [shown for entry in rows if (shown := _first(place, task, entry))]
    first = next(iter(found), None)
    if first is None:
        return
    alike = [one for one in found if _same_images(one.of, first.of)]
    if len(alike) < len(found):
        odd = ", ".join(one.title for one in found if one not in alike)
        notes[f"Not shown on {task}, since their maps are of other test images: {odd}."] = None
    truth, count = labelled(first.of), first.of.scores.shape[1]
    names = tuple(place.answer.scope.classes.get(task, ()))
    names = names if len(names) == count else tuple(map(str, range(count)))
    parts = np.array_split(np.arange(len(alike)), -(-len(alike) // MOST_ACROSS))
    for number, part in enumerate(parts, 1):
        columns = {one.title: Maps(one.maps, one.right(truth)) for one in (alike[index] for index in part)}
        # The number stands before the task, whose name may end in one.
        name = f"{place.name('segmentation')}{number if len(parts) > 1 else ''}-{task}"
        draw = partial(segmentation_figure, truth, columns, names, place.brief)
        yield Drawing(name, draw, _caption(place, task, truth))


def _rows(answer: Answer, notes: dict[str, None]) -> list[Entry]:
    """The rows that the report names for it, else cells and what stands beside them, as many as two figures hold."""
    if answer.spec.segmentation:
        by_label = {entry.label: entry for entry in answer.entries}
        return [by_label[label] for label in answer.spec.pick(list(by_label), "segmentation")]
    rows = rows_of(answer, "cell", "bound", "baseline")
    if len(rows) > MOST_ROWS:
        notes[f"The first {MOST_ROWS} of {len(rows)} rows; `segmentation` in the report's file chooses others."] = None
    return rows[:MOST_ROWS]


def _first(place: Place, task: str, entry: Entry) -> Shown | None:
    """The maps of a row's first run that has some; what is torn is told elsewhere."""
    for path in place.paths(entry, task):
        try:
            found = read_predictions(Path(path))
        except StoreError:
            continue
        if _has_maps(found):
            return Shown(entry.title, found)
    return None


def _has_maps(found: Predictions) -> bool:
    """Whether maps are there and fit one another and the images that they are said to be of."""
    if found.shown is None or found.shown_truth is None or found.shown_images is None or found.scores.ndim < 3:
        return False
    places = found.shown_images
    fit = found.shown.shape == found.shown_truth.shape and len(places) == len(found.shown) > 0
    return bool(fit and found.shown.size and (places >= 0).all() and (places < len(found.truth)).all())


def _same_images(one: Predictions, other: Predictions) -> bool:
    pairs: Sequence[tuple[np.ndarray | None, np.ndarray | None]] = (
        (one.shown_images, other.shown_images), (one.shown_truth, other.shown_truth),
    )  # fmt: skip
    return one.scores.shape[1] == other.scores.shape[1] and all(
        ours is not None and theirs is not None and np.array_equal(ours, theirs) for ours, theirs in pairs
    )


def _caption(place: Place, task: str, truth: np.ndarray) -> str:
    ignored = " Grey stripes: pixels without a label, which count nowhere." if (truth < 0).any() else ""
    images = f"{len(truth)} test image{'s' if len(truth) > 1 else ''}"
    return (
        f"Maps of classes on {images} of {task}, a row each: what is true (first column), then what is predicted on "
        f"the first seed of each row. Above each column the share of these images' labelled pixels that are right, "
        f"which is no score.{ignored} Of {place.told}."
    )
