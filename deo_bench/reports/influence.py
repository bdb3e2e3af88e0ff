"""How much each test image moves a metric: its influence, which makes a thousand resamples one matrix product.

A metric under weights w of the images is, to first order, its value plus the sum of (w_i - 1) times the influence
of image i (the infinitesimal jackknife: Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982).
Exact for a mean over images; for average precision and for ratios of sums (of pixels, of squared errors) the spread it
gives is the bootstrap's within its own noise, a hundred times sooner.

The calibration error has none here: it adds up absolute values, which have no slope where a bin is well calibrated, and
there a bootstrap spreads in another way. Nor has R², whose variance in the denominator bends it too much.
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


def mean_value(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """The mean of what was measured of each image [N, 1]."""
    if scores.ndim != 2:
        raise ValueError("a mean is of one number an image")
    return _mean(scores[:, 0].astype(np.float64))


def mae(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """Mean absolute error of numbers [N] predicted as [N, 1]."""
    return _mean(np.abs(_errors(truth, scores)))


def rmse(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """The root of the mean squared error: its slope is 1 / (2 RMSE)."""
    square, moves = _mean(_errors(truth, scores) ** 2)
    value = float(np.sqrt(square))
    return value, moves / (2 * value) if value > 0 else np.zeros(len(truth))


def miou(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """The mean over classes of intersection by union, of confusion matrices [N, K, K]."""
    hit, true, said = _pixels(scores)
    return _of_classes(hit, true + said - hit)


def pixel_f1(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """The mean over classes of F1."""
    hit, true, said = _pixels(scores)
    return _of_classes(2 * hit, true + said)


def pixel_accuracy(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """The share of all pixels that are right."""
    hit, true, _ = _pixels(scores)
    return _of_classes(hit.sum(1, keepdims=True), true.sum(1, keepdims=True))


def change_iou(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """Intersection by union of class 1."""
    hit, true, said = (each[:, 1:2] for each in _pixels(scores))
    return _of_classes(hit, true + said - hit)


def change_f1(truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray | None) -> tuple[float, np.ndarray]:
    """F1 of class 1."""
    hit, true, said = (each[:, 1:2] for each in _pixels(scores))
    return _of_classes(2 * hit, true + said)


def _mean(values: np.ndarray) -> tuple[float, np.ndarray]:
    mean = float(values.mean())
    return mean, (values - mean) / len(values)


def _errors(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.asarray(scores[:, 0].astype(np.float64) - truth)


def _pixels(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right pixels, pixels that are and that are said to be of each class, of each image [N, K]."""
    if scores.ndim != 3:
        raise ValueError("pixels are counted in a confusion matrix an image")
    counts = scores.astype(np.float64)
    return np.diagonal(counts, axis1=1, axis2=2), counts.sum(2), counts.sum(1)


def _of_classes(part: np.ndarray, whole: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean over classes of the ratios of the sums of parts and wholes [N, K]; without any pixel no class counts.

    Image i moves a ratio r = P / W by (p_i - r w_i) / W: the delta method.
    """
    there = whole.sum(0) > 0
    if not there.any():
        return float("nan"), np.zeros(len(part))
    part, whole = part[:, there], whole[:, there]
    ratios = part.sum(0) / whole.sum(0)
    return float(ratios.mean()), ((part - ratios * whole) / whole.sum(0)).mean(1)


INFLUENCES: dict[str, Influence] = {
    "accuracy": accuracy,
    "micro_map": micro_map,
    "miou": miou,
    "pixel_accuracy": pixel_accuracy,
    "pixel_f1": pixel_f1,
    "change_iou": change_iou,
    "change_f1": change_f1,
    "rmse": rmse,
    "mae": mae,
    "mean": mean_value,
    "mean_cost": mean_value,
    "mean_rate": mean_value,
}
"""Metrics whose influences are known here; any other is computed anew on every resample."""
