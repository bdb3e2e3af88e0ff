"""How much each test image moves a metric: its influence, which makes a thousand resamples one matrix product.

A metric under weights w of the images is, to first order, its value plus the sum of (w_i - 1) times the influence
of image i (the infinitesimal jackknife: Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982).
Exact for a mean over images; for average precision the spread it gives is the bootstrap's within its own noise, a
hundred times sooner.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Influence = Callable[[np.ndarray, np.ndarray, "np.ndarray | None"], tuple[float, np.ndarray]]
"""Of truth, scores and predicted: the metric's value and the influence [N] of each image; influences sum to zero."""


def accuracy(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """The share of images [N] whose class is right."""
    right = (truth == (scores.argmax(1) if predicted is None else predicted)).astype(np.float64)
    value = float(right.mean())
    return value, (right - value) / len(right)


def micro_map(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """Average precision over all pairs of image and class: the sum over thresholds of recall gained times precision."""
    order = np.argsort(-scores, axis=None, kind="stable")
    ranked = scores.ravel()[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    positive = truth.ravel()[order].astype(np.float64)
    all_positive = positive.sum()
    if all_positive == 0:
        return float("nan"), np.zeros(len(truth))
    hits, seen = np.cumsum(positive)[ends], (ends + 1).astype(np.float64)
    gains, precision = np.diff(hits, prepend=0.0), hits / seen
    value = float(gains @ precision / all_positive)
    later_hits = np.cumsum((gains / seen)[::-1])[::-1]
    later_seen = np.cumsum((gains * precision / seen)[::-1])[::-1]
    group = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=-1))
    moves = positive * (precision[group] + later_hits[group] - value) - later_seen[group]
    images = order // scores.shape[1]
    return value, np.bincount(images, weights=moves / all_positive, minlength=len(truth))


INFLUENCES: dict[str, Influence] = {"accuracy": accuracy, "micro_map": micro_map}
"""Metrics whose influences are known here; any other is computed anew on every resample."""
