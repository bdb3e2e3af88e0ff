"""Predictions on disk to scores on resamples of the test images, the same resamples for everybody."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from deo_bench.errors import StoreError, UserError
from deo_bench.probes.intervals import resamples
from deo_bench.probes.metrics import METRICS, measure
from deo_bench.reports.influence import INFLUENCES
from deo_bench.reports.predictions import Predictions, read_predictions
from deo_bench.reports.statistics import Measured

RESAMPLES = 1000


class MetricMisfit(StoreError):
    """A metric that is asked for but says nothing of such labels; nothing is wrong with the predictions."""


_TOGETHER = 256
"""Scores whose replicates are one matrix product."""
_SLAB = 1 << 21
"""Numbers of the drawn counts that are held as floats at once."""

Answer = tuple[Measured, str, str]


@dataclass(frozen=True)
class _Images:
    """The test images of scores: what is true of them, the unit [N] that each belongs to, and what was drawn.

    drawn: how often each unit is in each resample [R, units], in a byte each; digest: of truth and units.
    """

    truth: np.ndarray
    groups: np.ndarray | None
    places: np.ndarray
    drawn: np.ndarray
    digest: str

    def are_of(self, found: Predictions) -> bool:
        """Whether these are the images of some predictions."""
        return _equal(self.truth, found.truth) and _equal(self.groups, found.groups)


@dataclass(frozen=True)
class _Read:
    """A score whose predictions fit it; influence [units], none where only resampling will tell."""

    row: Any
    value: float
    influence: np.ndarray | None
    found: Predictions
    images: _Images


@dataclass
class Resampler:
    """Draws resamples once a set of test images and scores predictions on them.

    Whatever has the same task content, n and groups meets the same resamples, so that differences are paired image
    by image.
    """

    _drawn: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    _images: dict[str, _Images] = field(default_factory=dict)
    _expected: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    _made: dict[str, Answer | StoreError] = field(default_factory=dict)

    def expect(self, rows: Iterable[Any]) -> None:
        """Rows that will be measured: those of one column of a table are then measured together, which is faster."""
        for row in rows:
            self._expected.setdefault(_kin(row), {})[row.path] = row

    def measure(self, row: Any) -> Answer:
        """A row of the frame with its bootstrap, the digest of its test images, and that of its predictions.

        A StoreError where the predictions are missing, torn, or not those of the score.
        """
        if row.path not in self._made:
            others = self._expected.get(_kin(row), {})
            others.pop(row.path, None)
            self._make([row, *(others.pop(path) for path in list(islice(others, _TOGETHER - 1)))])
        made = self._made.pop(row.path)
        if isinstance(made, StoreError):
            raise made
        return made

    def _make(self, rows: Sequence[Any]) -> None:
        """Measure rows together; what is wrong with one of them is kept for who asks for it."""
        several: dict[int, list[_Read]] = {}
        for row in rows:
            try:
                read = self._read(row)
            except StoreError as error:
                self._made[row.path] = error
                continue
            if read.influence is None:
                self._made[row.path] = _answered(read, _measured_anew(read))
            else:
                several.setdefault(id(read.images.drawn), []).append(read)
        for alike in several.values():
            moved = _moved(alike[0].images.drawn, np.stack([read.influence for read in alike]))  # type: ignore[misc]
            for read, moves in zip(alike, moved, strict=True):
                self._made[read.row.path] = _answered(read, read.value + moves)

    def _read(self, row: Any) -> _Read:
        found = read_predictions(row.path)
        value, influence = _answer(row.metric, found)
        if not abs(value - row.value) <= 1e-4:
            raise StoreError(f"its predictions give {value:.4f}, the score says {row.value:.4f}")
        images = self._images_of(row.task_content, found)
        if influence is not None and found.groups is not None:
            influence = np.bincount(images.places, weights=influence)
        return _Read(row, value, influence, found, images)

    def _images_of(self, content: str, found: Predictions) -> _Images:
        """The images of some predictions: mostly those of the score before, which are compared and not digested."""
        known = self._images.get(content)
        if known is None or not known.are_of(found):
            places = _places(found)
            digest = _digest(found.truth.astype(np.int64), places)
            known = _Images(found.truth, found.groups, places, self._draw(content, places), digest)
            self._images[content] = known
        return known

    def _draw(self, content: str, places: np.ndarray) -> np.ndarray:
        """How often each unit is drawn in each resample [R, units]; a group of images is one unit."""
        key = (content, _digest(places))
        if key not in self._drawn:
            drawn = resamples(int(places.max()) + 1, RESAMPLES, "report", content)
            # Nothing is drawn more than some ten times; a test set of 100,000 images needs the room.
            self._drawn[key] = drawn.astype(np.uint8 if drawn.max() < 256 else np.uint32)
        return self._drawn[key]


def _kin(row: Any) -> tuple[Any, ...]:
    """What the rows of one column of a table share."""
    step = None if pd.isna(row.step) else int(row.step)
    return row.task, row.task_content, row.protocol, row.probe, row.bands, row.weights, row.partition, step


def _moved(drawn: np.ndarray, influences: np.ndarray) -> np.ndarray:
    """What each resample does to each score, [S, R] of influences [S, units].

    In float64: the sum is then the same to fifteen digits, whichever scores are taken together on whichever machine.
    """
    moved = np.empty((len(influences), len(drawn)))
    size = max(_SLAB // drawn.shape[1], 1)
    for at in range(0, len(drawn), size):
        moved[:, at : at + size] = influences @ drawn[at : at + size].astype(np.float64).T
    return moved


def _measured_anew(read: _Read) -> np.ndarray:
    """The metric on every resample [R], where no influences are known."""
    found, weights = read.found, read.images.drawn.astype(np.float32)[:, read.images.places]
    anew = measure(read.row.metric, found.truth, found.scores, found.predicted, weights)
    # Undefined where a resample has no positive label: such a one says nothing of the spread.
    return np.where(np.isfinite(anew), anew, read.value)


def _answered(read: _Read, replicates: np.ndarray) -> Answer:
    row = read.row
    seed = None if pd.isna(row.seed) else int(row.seed)
    low, high = (None if pd.isna(bound) else float(bound) for bound in (row.low, row.high))
    measured = Measured(seed, float(row.value), replicates, read.images.drawn.shape[1], low, high)
    return measured, read.images.digest, _digest(read.found.scores, read.found.predicted)


def _places(found: Predictions) -> np.ndarray:
    """The unit of each image [N]: itself, or its group."""
    if found.groups is None:
        return np.arange(len(found.truth))
    return np.unique(found.groups, return_inverse=True)[1]


def _check_fits(metric: str, found: Predictions) -> None:
    kind = "multi" if found.truth.ndim == 2 else "single"
    if kind not in METRICS[metric].kinds:
        fitting = ", ".join(name for name, each in METRICS.items() if kind in each.kinds)
        raise MetricMisfit(f"{metric} does not fit {kind}-label data (what does: {fitting})")


def _answer(metric: str, found: Predictions) -> tuple[float, np.ndarray | None]:
    """A metric's value and the influence of each image, none where only resampling will tell."""
    try:
        if metric in INFLUENCES:
            return INFLUENCES[metric](found.truth, found.scores, found.predicted)
        return float(measure(metric, found.truth, found.scores, found.predicted)[0]), None
    except (UserError, ValueError, IndexError, TypeError) as error:
        raise StoreError(f"its predictions do not fit metric {metric!r}: {error}") from None


def _equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and np.array_equal(one, other)


def _digest(*arrays: np.ndarray | None) -> str:
    made = hashlib.sha256()
    for array in arrays:
        if array is None:
            made.update(b"-|")
        else:
            made.update(f"{array.shape}|".encode())
            made.update(np.ascontiguousarray(array))
    return made.hexdigest()[:16]
