"""Predictions on disk to scores on resamples of the test images, the same resamples for everybody."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deo_bench.errors import StoreError, UserError
from deo_bench.probes.intervals import resamples
from deo_bench.probes.metrics import measure
from deo_bench.reports.influence import INFLUENCES
from deo_bench.reports.statistics import Measured

RESAMPLES = 1000
_ARRAYS = ("truth", "predicted", "scores", "groups")


@dataclass(frozen=True)
class Predictions:
    """What was said of every test image: truth [N] or [N, K], scores [N, K], predicted [N], groups [N]."""

    truth: np.ndarray
    scores: np.ndarray
    predicted: np.ndarray | None
    groups: np.ndarray | None


def read_predictions(path: Path) -> Predictions:
    """The predictions beside a score; a StoreError where they are missing, torn or of another kind."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in _ARRAYS if name in arrays}
    except FileNotFoundError:
        raise StoreError("its predictions are missing") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        raise StoreError("its predictions are torn or foreign") from None
    if not {"truth", "scores"} <= found.keys() or len({array.shape[:1] for array in found.values()}) != 1:
        raise StoreError("its predictions lack truth or scores, or their lengths differ")
    if not len(found["truth"]):
        raise StoreError("its predictions are empty")
    return Predictions(found["truth"], found["scores"], found.get("predicted"), found.get("groups"))


@dataclass
class Resampler:
    """Draws resamples once a set of test images and scores predictions on them.

    Whatever has the same task content, n and groups meets the same resamples, so that differences are paired image
    by image.
    """

    _drawn: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def measure(self, row: Any) -> tuple[Measured, str, str]:
        """A row of the frame with its bootstrap, the digest of its test images, and that of its predictions."""
        found = read_predictions(Path(row.path))
        value, influence = _answer(row.metric, found)
        if not abs(value - row.value) <= 1e-4:
            raise StoreError(f"its predictions give {value:.4f}, the score says {row.value:.4f}")
        places = _places(found)
        drawn = self._draw(row.task_content, places)
        if influence is None:
            measured_anew = measure(row.metric, found.truth, found.scores, found.predicted, drawn[:, places])
            # undefined where a resample has no positive label: such a one says nothing of the spread
            replicates = np.where(np.isfinite(measured_anew), measured_anew, value)
        else:
            replicates = value + drawn @ np.bincount(places, weights=influence).astype(np.float32)
        seed = None if pd.isna(row.seed) else int(row.seed)
        low, high = (None if pd.isna(bound) else float(bound) for bound in (row.low, row.high))
        measured = Measured(seed, float(row.value), replicates, drawn.shape[1], low, high)
        return measured, _digest(found.truth.astype(np.int64), places), _digest(found.scores, found.predicted)

    def _draw(self, content: str, places: np.ndarray) -> np.ndarray:
        """How often each unit is drawn in each resample [R, units]; a group of images is one unit."""
        key = (content, _digest(places))
        if key not in self._drawn:
            self._drawn[key] = resamples(int(places.max()) + 1, RESAMPLES, "report", content)
        return self._drawn[key]


def _places(found: Predictions) -> np.ndarray:
    """The unit of each image [N]: itself, or its group."""
    if found.groups is None:
        return np.arange(len(found.truth))
    return np.unique(found.groups, return_inverse=True)[1]


def _answer(metric: str, found: Predictions) -> tuple[float, np.ndarray | None]:
    """A metric's value and the influence of each image, none where only resampling will tell."""
    try:
        if metric in INFLUENCES:
            return INFLUENCES[metric](found.truth, found.scores, found.predicted)
        return float(measure(metric, found.truth, found.scores, found.predicted)[0]), None
    except (UserError, ValueError, IndexError) as error:
        raise StoreError(f"its predictions do not fit metric {metric!r}: {error}") from None


def _digest(*arrays: np.ndarray | None) -> str:
    parts = [b"-" if array is None else str(array.shape).encode() + array.tobytes() for array in arrays]
    return hashlib.sha256(b"|".join(parts)).hexdigest()[:16]
