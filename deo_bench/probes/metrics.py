"""Metrics on weighted samples: a row of weights a resample, so that a bootstrap is one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deo_bench.errors import UserError, unknown

BLOCK = 1 << 22
"""Numbers held at once while a ranking is swept for many resamples."""


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


@dataclass(frozen=True)
class Metric:
    """A metric by name: `reads` says whether it compares decisions or ranks scores; larger is better."""

    function: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    reads: str
    kinds: tuple[str, ...]
    direction: str = "max"


METRICS = {
    "accuracy": Metric(accuracy, "labels", ("single",)),
    "micro_f1": Metric(micro_f1, "labels", ("single", "multi")),
    "macro_f1": Metric(macro_f1, "labels", ("single", "multi")),
    "micro_map": Metric(micro_map, "scores", ("multi",)),
    "macro_map": Metric(macro_map, "scores", ("multi",)),
}


def measure(
    name: str,
    truth: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """A metric for each row of weights [R, N]: [R]; without weights, one value of all samples alike, [1].

    truth: class ids [N], or zeros and ones [N, K]; scores: [N, K]; labels: the classes chosen [N], else the highest
    score's; among zeros and ones a label is predicted where its score is above 0.5.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    metric, kind = METRICS[name], "multi" if truth.ndim == 2 else "single"
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
