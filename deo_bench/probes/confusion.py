"""Maps of classes in numbers: a confusion matrix an image, and the metrics of their weighted sums."""

from __future__ import annotations

import numpy as np


def confusion_matrices(truth: np.ndarray, predicted: np.ndarray, num_classes: int, ignore: int | None) -> np.ndarray:
    """Confusion matrices [B, K, K] of maps of classes [B, H, W], a row a true class; ignored pixels are in none."""
    size = num_classes**2
    counts = np.zeros((len(truth), size), dtype=np.int64)
    for row, (true, said) in enumerate(zip(truth, predicted, strict=True)):
        kept = np.ones(true.shape, dtype=bool) if ignore is None else true != ignore
        pairs = true[kept].astype(np.int64) * num_classes + said[kept].astype(np.int64)
        counts[row] = np.bincount(pairs, minlength=size)
    return counts.reshape(-1, num_classes, num_classes)


def miou(truth: np.ndarray, confusion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean intersection over union of the classes that are there or predicted, [R] of one matrix for all pixels.

    As in torchmetrics (macro): a class that is neither there nor predicted is left out.
    """
    hit, true, said = _sums(confusion, weights)
    return _mean_of(hit, true + said - hit)


def pixel_f1(truth: np.ndarray, confusion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean F1 (Dice) of the classes that are there or predicted [R]."""
    hit, true, said = _sums(confusion, weights)
    return _mean_of(2 * hit, true + said)


def pixel_accuracy(truth: np.ndarray, confusion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of pixels whose class is right [R]: micro-averaged F1 is the same number."""
    hit, true, _ = _sums(confusion, weights)
    return _ratio(hit.sum(1), true.sum(1))


def change_iou(truth: np.ndarray, confusion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Intersection over union of class 1 (change) over all pixels [R]; not a number where it is nowhere."""
    hit, true, said = _sums(confusion, weights)
    return _ratio(hit[:, 1], (true + said - hit)[:, 1])


def change_f1(truth: np.ndarray, confusion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """F1 of class 1 (change) over all pixels [R]; not a number where it is nowhere."""
    hit, true, said = _sums(confusion, weights)
    return _ratio(2 * hit[:, 1], (true + said)[:, 1])


def _sums(confusion: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right pixels, pixels that are and that are said to be of each class, [R, K] each."""
    num, size = len(confusion), confusion.shape[1]
    hit = weights @ confusion.reshape(num, -1)[:, :: size + 1].astype(np.float64)
    true = weights @ confusion.sum(2).astype(np.float64)
    said = weights @ confusion.sum(1).astype(np.float64)
    return hit, true, said


def _mean_of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    there = whole > 0
    values = np.divide(part, whole, out=np.zeros(part.shape), where=there)
    return _ratio(values.sum(1), there.sum(1).astype(np.float64))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
