"""Predictions on disk to scores on resamples of the test images, the same resamples for everybody."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from deo_bench.errors import StoreError, UserError, unknown
from deo_bench.probes import LABEL_KINDS
from deo_bench.probes.intervals import resamples
from deo_bench.probes.metrics import METRICS, kind_of, measure
from deo_bench.reports.influence import INFLUENCES
from deo_bench.reports.predictions import Predictions, read_predictions
from deo_bench.reports.statistics import Measured

RESAMPLES = 1000
_TOGETHER = 256
"""Scores whose replicates are one matrix product, at most."""
_SLAB = 1 << 21
"""Numbers of the drawn counts, or of the influences of scores, that are held as floats at once."""

Answer = tuple[Measured, str, str]


class MetricMisfit(StoreError):
    """A metric that is asked for but says nothing of such labels; nothing is wrong with the predictions."""


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
    """A score whose predictions fit it.

    metric: the score's own or another, which `value` is of; moves: the influence of each unit [units], or where none
    are known, what each resample does to the value [R]; said: the digest of the predictions, which are not kept.
    """

    row: Any
    metric: str
    value: float
    moves: np.ndarray
    images: _Images
    said: str


@dataclass
class Resampler:
    """Draws resamples once a set of test images and scores predictions on them.

    Whatever has the same task content, n and groups meets the same resamples, so that differences are paired image
    by image.
    """

    _drawn: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    _images: dict[str, _Images] = field(default_factory=dict)
    _expected: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    _left: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    _made: dict[tuple[str, str], Answer | StoreError] = field(default_factory=dict)

    def expect(self, rows: Iterable[Any]) -> None:
        """Rows that will be measured: those of one column of a table are then measured together, which is faster."""
        for row in rows:
            self._expected.setdefault(_kin(row), {})[row.path] = row

    def measure(self, row: Any) -> Answer:
        """A row of the frame with its bootstrap, the digest of its test images, and that of its predictions.

        A StoreError where the predictions are missing, torn, or not those of the score.
        """
        return self.measure_as(row, row.metric)

    def measure_as(self, row: Any, metric: str) -> Answer:
        """The same under a metric that may be another than the score's own, computed anew from the predictions.

        A MetricMisfit where these are sound and the metric says nothing of such labels.
        """
        key = (row.path, metric)
        if key not in self._made:
            self._make([row, *self._beside(row, metric)], metric)
        made = self._made.pop(key)
        if isinstance(made, StoreError):
            raise made
        return made

    def _beside(self, row: Any, metric: str) -> list[Any]:
        """Rows of the same column that are still to be measured."""
        kin = _kin(row)
        left = self._left.setdefault((*kin, metric), dict(self._expected.get(kin, ())))
        left.pop(row.path, None)
        count = min(_TOGETHER, _SLAB // int(row.n) + 1) - 1
        return [left.pop(path) for path in list(islice(left, count))]

    def _make(self, rows: Sequence[Any], metric: str) -> None:
        """Measure rows together; what is wrong with one of them is kept for who asks for it."""
        several: dict[int, list[_Read]] = {}
        for row in rows:
            try:
                read = self._read(row, metric)
            except StoreError as error:
                self._made[row.path, metric] = error
            else:
                several.setdefault(id(read.images.drawn), []).append(read)
        for alike in several.values():
            moved = np.stack([read.moves for read in alike])
            if metric in INFLUENCES:
                moved = _moved(alike[0].images.drawn, moved)
            for read, moves in zip(alike, moved, strict=True):
                self._made[read.row.path, metric] = _answered(read, read.value + moves)

    def _read(self, row: Any, metric: str) -> _Read:
        found = read_predictions(row.path)
        value, influence = _answer(row.metric, found)
        if not abs(value - row.value) <= 1e-4:
            raise StoreError(f"its predictions give {value:.4f}, the score says {row.value:.4f}")
        if len(found.truth) != row.n:
            raise StoreError(f"its predictions are of {len(found.truth)} images, the score says {row.n}")
        if metric != row.metric:
            _check_fits(metric, found)
            value, influence = _answer(metric, found)
        images = self._images_of(row.task_content, found)
        if influence is not None:
            moves = influence if found.groups is None else np.bincount(images.places, weights=influence)
        else:
            # Undefined where a resample has no positive label: such a one says nothing of the spread.
            anew = _measured_anew(metric, found, images)
            moves = np.where(np.isfinite(anew), anew - value, 0.0)
        return _Read(row, metric, value, moves, images, _digest(found.scores, found.predicted))

    def _images_of(self, content: str, found: Predictions) -> _Images:
        """The images of some predictions: mostly those of the score before, which are compared and not digested."""
        known = self._images.get(content)
        if known is None or not known.are_of(found):
            places = _places(found)
            digest = _digest(found.truth if found.truth.dtype.kind == "f" else found.truth.astype(np.int64), places)
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


def _measured_anew(metric: str, found: Predictions, images: _Images) -> np.ndarray:
    """The metric on every resample [R], where no influences are known."""
    weights = images.drawn.astype(np.float32)
    if found.groups is not None:
        weights = weights[:, images.places]
    return measure(metric, found.truth, found.scores, found.predicted, weights)


def _answered(read: _Read, replicates: np.ndarray) -> Answer:
    row = read.row
    seed = None if pd.isna(row.seed) else int(row.seed)
    is_own = read.metric == row.metric
    low, high = (float(bound) if is_own and not pd.isna(bound) else None for bound in (row.low, row.high))
    value = float(row.value) if is_own else read.value
    units, is_share = read.images.drawn.shape[1], METRICS[read.metric].is_share
    measured = Measured(seed, value, replicates, units, low, high, is_share)
    return measured, read.images.digest, read.said


def _places(found: Predictions) -> np.ndarray:
    """The unit of each image [N]: itself, or its group."""
    if found.groups is None:
        return np.arange(len(found.truth))
    return np.unique(found.groups, return_inverse=True)[1]


def _check_fits(metric: str, found: Predictions) -> None:
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    kind = kind_of(found.truth, found.scores)
    if kind not in METRICS[metric].kinds:
        of_all = [name for name, each in METRICS.items() if set(each.kinds) == set(LABEL_KINDS)]
        fitting = ", ".join(name for name, each in METRICS.items() if kind in each.kinds and name not in of_all)
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
            made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()[:16]
