"""Metrics on weighted samples: a row of weights a resample, so that a bootstrap is one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deo_bench.errors import UserError, unknown
from deo_bench.probes import LABEL_KINDS
from deo_bench.probes.confusion import change_f1, change_iou, miou, pixel_accuracy, pixel_f1

BLOCK = 1 << 22
"""Numbers held at once while a ranking is swept for many resamples."""

MEASURED = ("mean_cost", "mean_rate")
"""Metrics of what is measured of a backbone, once or repeatedly, and not image by image."""

ECE_BINS = 15
"""Bins of the expected calibration error (Guo et al. 2017)."""


def accuracy(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of samples whose class [N] is right, for each row of weights [R, N]: [R]."""
    return np.asarray(weights @ (truth == predicted).astype(np.float64) / weights.sum(1))


def micro_f1(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """F1 of all decisions pooled [R]; of class ids it equals accuracy."""
    hit, wrong, missed = (each.sum(1) for each in _counts(truth, predicted, weights))
    return _ratio(2 * hit, 2 * hit + wrong + missed)


def macro_f1(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of the classes' F1 [R].

    As in torchmetrics, a class that is neither there nor predicted is left out among class ids, and counts 0 among
    zeros and ones.
    """
    hit, wrong, missed = _counts(truth, predicted, weights)
    values = _ratio(2 * hit, 2 * hit + wrong + missed)
    if truth.ndim == 2:
        return np.asarray(values.mean(1))
    there = hit + wrong + missed > 0
    return np.asarray((values * there).sum(1) / there.sum(1))


def micro_map(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision of all labels [N, K] ranked together by their scores [N, K]: [R]."""
    rows = np.repeat(np.arange(len(truth)), truth.shape[1])
    return _average_precision(truth.ravel(), scores.ravel(), rows, weights)


def macro_map(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of the classes' average precision [R]; a class without a positive sample is left out."""
    rows = np.arange(len(truth))
    each = [_average_precision(truth[:, k], scores[:, k], rows, weights) for k in range(truth.shape[1])]
    values = np.stack(each, 1)
    there = np.isfinite(values)
    total = np.where(there, values, 0).sum(1)
    return np.divide(total, there.sum(1), out=np.full(len(values), np.nan), where=there.any(1))


def expected_calibration_error(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How far the top probability is from being right that often [R], in `ECE_BINS` bins of equal width.

    The mean over bins of |accuracy - confidence|, by the bins' shares (Guo et al. 2017, equation 3). Of zeros and ones
    every label's probability is held against how often that label is there.
    """
    if truth.ndim == 2:
        top, right = scores.astype(np.float64), truth.astype(np.float64)
    else:
        top, right = scores.max(1, keepdims=True), (scores.argmax(1) == truth).astype(np.float64)[:, None]
    places = np.clip(np.ceil(top * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    off = np.zeros((len(top), ECE_BINS))
    np.add.at(off, (np.arange(len(top))[:, None], places), right - top)
    return np.asarray(np.abs(weights @ off).sum(1) / weights.sum(1) / top.shape[1])


def mean_value(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of what was measured of each sample [N, 1]: [R]."""
    return np.asarray(weights @ scores[:, 0].astype(np.float64) / weights.sum(1))


def rmse(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Root of the mean squared error of numbers [N] predicted as [N, 1]: [R]."""
    return np.sqrt(mean_value(truth, _errors(truth, scores) ** 2, weights))


def mae(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean absolute error [R]."""
    return mean_value(truth, np.abs(_errors(truth, scores)), weights)


def r2(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the numbers' variance that is explained [R]; not a number where they do not vary.

    Whatever their unit: the truth is centred first, so that no offset eats the digits of its variance, and a row's
    variance is held against its own mean square.
    """
    centred = truth.astype(np.float64) - truth.mean(dtype=np.float64)
    total = weights.sum(1, dtype=np.float64)
    mean, square = weights @ centred / total, weights @ centred**2 / total
    variance, rest = square - mean**2, rmse(truth, scores, weights) ** 2
    part = np.divide(rest, variance, out=np.full(len(rest), np.nan), where=variance > 1e-12 * square)
    return np.asarray(1 - part)


def _errors(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.asarray(scores[:, :1].astype(np.float64) - truth[:, None])


@dataclass(frozen=True)
class Metric:
    """A metric by name: `reads` says whether it compares decisions or looks at scores; direction: which way is better.

    kinds: the kinds of labels that it says something of; is_share: whether it is a share, shown as percent, or in a
    unit of its own.
    """

    function: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    reads: str
    kinds: tuple[str, ...]
    direction: str = "max"
    is_share: bool = True


METRICS = {
    "accuracy": Metric(accuracy, "labels", ("single",)),
    "micro_f1": Metric(micro_f1, "labels", ("single", "multi")),
    "macro_f1": Metric(macro_f1, "labels", ("single", "multi")),
    "micro_map": Metric(micro_map, "scores", ("multi",)),
    "macro_map": Metric(macro_map, "scores", ("multi",)),
    "ece": Metric(expected_calibration_error, "scores", ("single", "multi"), "min"),
    "miou": Metric(miou, "scores", ("segmentation", "change")),
    "pixel_accuracy": Metric(pixel_accuracy, "scores", ("segmentation", "change")),
    "pixel_f1": Metric(pixel_f1, "scores", ("segmentation", "change")),
    "change_iou": Metric(change_iou, "scores", ("segmentation", "change")),
    "change_f1": Metric(change_f1, "scores", ("segmentation", "change")),
    "rmse": Metric(rmse, "scores", ("regression",), "min", is_share=False),
    "mae": Metric(mae, "scores", ("regression",), "min", is_share=False),
    "r2": Metric(r2, "scores", ("regression",)),
    "mean": Metric(mean_value, "scores", LABEL_KINDS),
    "mean_cost": Metric(mean_value, "scores", LABEL_KINDS, "min", is_share=False),
    "mean_rate": Metric(mean_value, "scores", LABEL_KINDS, is_share=False),
}


def kind_of(truth: np.ndarray, scores: np.ndarray) -> str:
    """What kind of labels predictions are of, told by their arrays; change is segmentation here."""
    if scores.ndim == 3:
        return "segmentation"
    if truth.ndim == 1 and truth.dtype.kind == "f":
        return "regression"
    return "multi" if truth.ndim == 2 else "single"


def measure(
    name: str,
    truth: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """A metric for each row of weights [R, N]: [R]; without weights, one value of all samples alike, [1].

    truth: class ids [N], or zeros and ones [N, K]; scores: [N, K]; labels: the classes chosen [N], else the highest
    score's; among zeros and ones a label is predicted where its score is above 0.5. Of numbers [N] scores are the
    predicted ones [N, 1]. Of maps of classes truth is how many pixels of each class an image has [N, K], scores its
    confusion matrix [N, K, K], a row a true class; what is to be ignored is in neither.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    metric, kind = METRICS[name], kind_of(truth, scores)
    if kind not in metric.kinds:
        fitting = ", ".join(key for key, each in METRICS.items() if kind in each.kinds)
        raise UserError(f"metric {name!r} does not fit {kind}-label data; say one of {fitting}")
    if len(truth) != len(scores) or len(truth) == 0:
        raise UserError(f"metric {name!r} got {len(truth)} labels and {len(scores)} predictions")
    if weights is None:
        weights = np.ones((1, len(truth)))
    return metric.function(truth, scores if metric.reads == "scores" else _decide(kind, scores, labels), weights)


def _decide(kind: str, scores: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    if kind == "multi":
        return scores > 0.5
    return scores.argmax(1) if labels is None else labels


def _counts(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """True positives, false positives and misses of each class, [R, K] each."""
    if truth.ndim == 1:
        classes = np.union1d(truth, predicted)
        truth, predicted = truth[:, None] == classes, predicted[:, None] == classes
    truth, predicted = truth.astype(bool), predicted.astype(bool)
    cells = (truth & predicted, ~truth & predicted, truth & ~predicted)
    return tuple(weights @ cell.astype(np.float64) for cell in cells)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _average_precision(positive: np.ndarray, scores: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Precision at each threshold times the recall it gains, summed: [R]; equal scores share a threshold.

    positive, scores: [M]; rows: the sample [M] that each belongs to; without a positive sample the value is not a
    number.
    """
    order = np.argsort(-scores, kind="stable")
    rows, is_hit, ranked = rows[order], positive[order].astype(bool), scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    found, size = np.empty(len(weights)), max(BLOCK // len(ranked), 1)
    for at in range(0, len(weights), size):
        here = weights[at : at + size, rows].astype(np.float64)
        seen = here.cumsum(1)[:, ends]
        hits = (here * is_hit).cumsum(1)[:, ends]
        gained = np.diff(hits, axis=1, prepend=0)
        total = (_ratio(hits, seen) * gained).sum(1)
        found[at : at + size] = np.divide(total, hits[:, -1], out=np.full(len(here), np.nan), where=hits[:, -1] > 0)
    return found
