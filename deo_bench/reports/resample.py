"""Predictions on disk to scores on resamples of the test images, the same resamples for everybody."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deo_bench.draws import numpy_generator
from deo_bench.errors import StoreError
from deo_bench.reports.statistics import Measured

RESAMPLES = 1000
_ARRAYS = ("truth", "predicted", "scores", "groups")


@dataclass(frozen=True)
class Predictions:
    """What was said of every test image: truth [N] or [N, K], predicted [N], scores [N, K], groups [N]."""

    truth: np.ndarray
    predicted: np.ndarray | None
    scores: np.ndarray | None
    groups: np.ndarray | None


def read_predictions(path: Path) -> Predictions:
    """The predictions beside a score; a StoreError where they are missing, torn or of another kind."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in _ARRAYS if name in arrays}
    except FileNotFoundError:
        raise StoreError(f"{path}: the predictions are missing") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path}: the predictions are torn or foreign ({error})") from None
    truth = found.get("truth")
    lengths = {len(array) for array in found.values()}
    if truth is None or len(lengths) != 1 or not {"predicted", "scores"} & found.keys():
        raise StoreError(f"{path}: the predictions lack truth or answers, or their lengths differ")
    return Predictions(truth, found.get("predicted"), found.get("scores"), found.get("groups"))


@dataclass
class Resampler:
    """Draws resamples once a set of test images and scores predictions on them.

    Whatever has the same task content, n and groups meets the same resamples, so that differences are paired image by image.
    """

    _weights: dict[str, np.ndarray] = field(default_factory=dict)

    def measure(self, row: Any) -> tuple[Measured, str, str]:
        """A score (a row of the frame) with its bootstrap, the digest of its test images, and that of its predictions."""
        found = read_predictions(Path(row.path))
        value = float(weighted_metric(row.metric, found, np.ones((1, len(found.truth)), np.float32))[0])
        if abs(value - row.value) > 1e-4:
            raise StoreError(f"{row.path}: the predictions give {value:.4f}, the score says {row.value:.4f}")
        weights, units = self._draw(row.task_content, found)
        replicates = weighted_metric(row.metric, found, weights)
        seed = None if row.seed is None or np.isnan(row.seed) else int(row.seed)
        low, high = (None if np.isnan(bound) else float(bound) for bound in (row.low, row.high))
        measured = Measured(seed, float(row.value), replicates, units, low, high)
        return measured, _digest(found.truth, found.groups), _digest(found.scores, found.predicted)

    def _draw(self, content: str, found: Predictions) -> tuple[np.ndarray, int]:
        """How often each image is drawn in each resample [R, N], groups drawn whole, and the number of units."""
        count = len(found.truth)
        places = np.arange(count) if found.groups is None else np.unique(found.groups, return_inverse=True)[1]
        units = int(places.max()) + 1
        key = _digest(np.frombuffer(content.encode(), np.uint8), places)
        if key not in self._weights:
            draws = numpy_generator("report", "bootstrap", content, count, units)
            drawn = draws.multinomial(units, np.full(units, 1 / units), size=RESAMPLES)
            self._weights[key] = drawn.astype(np.float32)[:, places]
        return self._weights[key], units


def weighted_metric(metric: str, found: Predictions, weights: np.ndarray) -> np.ndarray:
    """A metric under weights [R, N] of the images: [R]."""
    if metric == "accuracy" and found.predicted is not None:
        return weights @ (found.predicted == found.truth).astype(np.float32) / weights.sum(1)
    if metric == "micro_map" and found.scores is not None:
        return _average_precision(found.truth, found.scores, weights)
    raise StoreError(f"metric {metric!r} is unknown here, or its predictions are of another kind")


def _average_precision(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(-scores, axis=None, kind="stable")
    ends = np.flatnonzero(np.diff(scores.ravel()[order], append=np.nan))
    images, positive = order // scores.shape[1], truth.ravel()[order].astype(np.float32)
    values = []
    for rows in np.array_split(weights, max(1, len(weights) * len(order) // 2**23)):
        drawn = rows[:, images]
        hits = np.cumsum(drawn * positive, axis=1)[:, ends]
        share = hits / np.maximum(np.cumsum(drawn, axis=1)[:, ends], 1e-9)
        values.append((np.diff(hits, prepend=0, axis=1) * share).sum(1) / hits[:, -1])
    return np.concatenate(values)


def _digest(*arrays: np.ndarray | None) -> str:
    parts = [b"-" if array is None else str(array.shape).encode() + array.tobytes() for array in arrays]
    return hashlib.sha256(b"|".join(parts)).hexdigest()[:16]
