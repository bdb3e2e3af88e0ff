"""Scores with their bootstraps, and the parts of the variance of their means: seeds and test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

LEVEL = 0.95

Source = Literal["seeds", "images"]


@dataclass(frozen=True)
class Measured:
    """One score with its joint bootstrap.

    seed: of the run, none for what has none; replicates: [R], the score on resamples of the test images, the r-th
    being the same images for everything that is scored on them; units: independent images or groups; low, high: the
    score's own interval; is_share: whether it is a share, or in a unit of its own.
    """

    seed: int | None
    value: float
    replicates: np.ndarray
    units: int
    low: float | None = None
    high: float | None = None
    is_share: bool = True


@dataclass(frozen=True)
class Part:
    """One part of a variance, with its degrees of freedom and what makes it; least: below which it is never taken."""

    variance: float
    df: float
    source: Source
    least: float = 0.0


def satterthwaite(parts: Sequence[Part]) -> float:
    """Degrees of freedom of a sum of independent variances: V^2 / sum(V_i^2 / df_i) (Satterthwaite, Biometrics 1946).

    Where every part is zero, the fewest of their degrees.
    """
    total = sum(part.variance for part in parts)
    if total <= 0:
        return min(part.df for part in parts)
    # shares, not variances: squares of very small variances underflow
    return 1 / sum((part.variance / total) ** 2 / part.df for part in parts)


def seed_part(values: np.ndarray, weight: float = 1.0, least: float = 0.0) -> Part:
    """The variance of a weighted mean over seeds [S]: weight^2 max(s^2, least) / S, on S - 1 degrees of freedom.

    s^2: the variance of the values. least: what it is in expectation at the least (`alone`); zero where no resamples
    are kept. Scores are multiples of 1 / n, so that two seeds often tie: an s^2 of zero is luck, and would leave no
    variance but that of the test images, with all their degrees of freedom.
    """
    share = weight**2 / len(values)
    return Part(share * max(float(values.var(ddof=1)), least), len(values) - 1, "seeds", share * least)


def image_part(replicates: np.ndarray, units: int) -> Part:
    """The variance of a mean over seeds that comes from the choice of test images, of replicates [S, R]."""
    return images_of(between(replicates), units)


def images_of(variance: float, units: int) -> Part:
    """The images' part, of the variance of a bootstrap: which is too small by (n - 1) / n."""
    return Part(variance * (units / (units - 1) if units > 1 else 1.0), max(units - 1, 1), "images")


def between(replicates: np.ndarray) -> float:
    """What the test images do to all seeds alike: the mean covariance of two seeds' replicates [S, R], at least zero.

    Not the variance of the mean over seeds: how each run fares on these images by itself is in the spread of the
    seeds already (`seed_part`, `alone`), and would be counted twice. One run has no other, and its variance stands.
    """
    count = len(replicates)
    if count == 1:
        return float(replicates[0].var(ddof=1))
    total = replicates.sum(0).var(ddof=1) - replicates.var(axis=1, ddof=1).sum()
    return max(float(total) / (count * (count - 1)), 0.0)


def alone(replicates: np.ndarray, units: int) -> float:
    """What the test images do to each seed by itself: the mean variance of replicates [S, R], less `between`.

    A run is about its recipe's mean by this and by how able its seed makes it: over seeds, s^2 is in expectation no
    less. Zero of one run, and where all runs predict the same.
    """
    apart = float(replicates.var(axis=1, ddof=1).mean()) - between(replicates)
    return max(images_of(apart, units).variance, 0.0)


def values_of(scores: Sequence[Measured]) -> np.ndarray:
    """The scores' values [S]."""
    return np.array([score.value for score in scores])


def replicates_of(scores: Sequence[Measured]) -> np.ndarray:
    """The scores' replicates [S, R]."""
    return np.stack([score.replicates for score in scores]).astype(np.float64)


def units_of(scores: Sequence[Measured]) -> int:
    """Independent images or groups: the fewest of any of the scores."""
    return min(score.units for score in scores)
