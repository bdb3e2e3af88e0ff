"""Intervals over seeds and test images together, and paired differences: what an ablation may claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

LEVEL = 0.95

Pairing = Literal["paired", "unpaired", "one run"]
"""`paired`: over common seeds and test images; `unpaired`: no common seed, test images still in common; `one run`:
the other side is a single run without a seed, so that only this side's seeds vary."""


@dataclass(frozen=True)
class Measured:
    """One score with its joint bootstrap.

    seed: of the run, none for what has none; replicates: [R], the score on resamples of the test images, the r-th
    being the same images for everything that is scored on them; units: independent images or groups; low, high: the
    score's own interval.
    """

    seed: int | None
    value: float
    replicates: np.ndarray
    units: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval; `df` is none where the interval is one score's own bootstrap."""

    value: float
    low: float
    high: float
    seeds: int
    df: float | None


@dataclass(frozen=True)
class Difference:
    """A mean difference with its interval, p value (two-sided, uncorrected) and what it was computed over."""

    value: float
    low: float
    high: float
    p: float
    df: float
    seeds: int
    pairing: Pairing

    @property
    def is_resolved(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Part:
    """One part of a variance, with its degrees of freedom."""

    variance: float
    df: float


def satterthwaite(parts: Sequence[Part]) -> float:
    """Degrees of freedom of a sum of independent variances: V^2 / sum(V_i^2 / df_i) (Satterthwaite, Biometrics 1946).

    Where every part is zero, the fewest of their degrees.
    """
    total = sum(part.variance for part in parts)
    if total <= 0:
        return min(part.df for part in parts)
    # shares, not variances: squares of very small variances underflow
    return 1 / sum((part.variance / total) ** 2 / part.df for part in parts)


def mean_over_seeds(scores: Sequence[Measured]) -> Estimate:
    """The mean over seeds with a t interval of seeds and test images; a single run has its own bootstrap's."""
    value = float(np.mean([score.value for score in scores]))
    if len(scores) == 1:
        return _own_interval(scores[0])
    low, high, _, df = _interval(value, [_seed_part(_values(scores)), _image_part(_replicates(scores), _units(scores))])
    return Estimate(value, low, high, len(scores), df)


def difference(ours: Sequence[Measured], others: Sequence[Measured]) -> Difference:
    """The mean of `ours` minus the mean of `others`, both scored on the same test images.

    Common seeds are paired, run by run. Without any, both sides' seeds vary. Against one run without a seed (a
    baseline) only our seeds do. A side with one run cannot say how its seeds vary: that part is then left out, and
    `seeds` tells.
    """
    theirs = {score.seed: score for score in others}
    common = [score for score in ours if score.seed is not None and score.seed in theirs]
    if common:
        return _paired(common, [theirs[score.seed] for score in common], "paired")
    if len(others) == 1 and others[0].seed is None:
        return _paired(ours, [others[0]] * len(ours), "one run")
    if len(ours) == 1 and ours[0].seed is None:
        return _paired([ours[0]] * len(others), others, "one run")
    return _unpaired(ours, others)


def _paired(ours: Sequence[Measured], others: Sequence[Measured], pairing: Pairing) -> Difference:
    values = _values(ours) - _values(others)
    parts = [_image_part(_replicates(ours) - _replicates(others), _units(ours))]
    if len(values) > 1:
        parts.append(_seed_part(values))
    return _difference(float(values.mean()), parts, len(values), pairing)


def _unpaired(ours: Sequence[Measured], others: Sequence[Measured]) -> Difference:
    value = float(_values(ours).mean() - _values(others).mean())
    a, b = _replicates(ours), _replicates(others)
    shared = float(np.cov(a.mean(0), b.mean(0))[0, 1])
    images = max(_between(a) + _between(b) - 2 * shared, 0.0)
    parts = [Part(images * _small_sample(_units(ours)), max(_units(ours) - 1, 1))]
    parts += [_seed_part(_values(side)) for side in (ours, others) if len(side) > 1]
    return _difference(value, parts, min(len(ours), len(others)), "unpaired")


def _difference(value: float, parts: Sequence[Part], seeds: int, pairing: Pairing) -> Difference:
    low, high, error, df = _interval(value, parts)
    if error > 0:
        p = float(2 * stats.t.sf(abs(value) / error, df))
    else:
        p = 1.0 if value == 0 else 0.0
    return Difference(value, low, high, p, df, seeds, pairing)


def _interval(value: float, parts: Sequence[Part]) -> tuple[float, float, float, float]:
    """Low, high, standard error, degrees of freedom."""
    error, df = float(np.sqrt(sum(part.variance for part in parts))), satterthwaite(parts)
    half = float(stats.t.ppf((1 + LEVEL) / 2, df)) * error
    return value - half, value + half, error, df


def _seed_part(values: np.ndarray) -> Part:
    """The variance of a mean over seeds [S] that their spread shows: s^2 / S."""
    return Part(float(values.var(ddof=1)) / len(values), len(values) - 1)


def _image_part(replicates: np.ndarray, units: int) -> Part:
    """The variance of a mean over seeds that comes from the choice of test images, of replicates [S, R]."""
    return Part(_between(replicates) * _small_sample(units), max(units - 1, 1))


def _between(replicates: np.ndarray) -> float:
    """What the test images do to all seeds alike: the mean covariance of two seeds' replicates [S, R], at least zero.

    Not the variance of the mean over seeds: how each run fares on these images by itself is in the spread of the
    seeds already, and would be counted twice. One run has no other, and its variance stands.
    """
    count = len(replicates)
    if count == 1:
        return float(replicates[0].var(ddof=1))
    total = replicates.sum(0).var(ddof=1) - replicates.var(axis=1, ddof=1).sum()
    return max(float(total) / (count * (count - 1)), 0.0)


def _small_sample(units: int) -> float:
    """A bootstrap's variance is too small by (n - 1) / n."""
    return units / (units - 1) if units > 1 else 1.0


def _own_interval(score: Measured) -> Estimate:
    """The interval that the score file states, else the percentiles of the replicates."""
    if score.low is not None and score.high is not None:
        return Estimate(score.value, score.low, score.high, 1, None)
    low, high = np.quantile(score.replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(score.value, float(low), float(high), 1, None)


def _values(scores: Sequence[Measured]) -> np.ndarray:
    return np.array([score.value for score in scores])


def _replicates(scores: Sequence[Measured]) -> np.ndarray:
    return np.stack([score.replicates for score in scores]).astype(np.float64)


def _units(scores: Sequence[Measured]) -> int:
    return min(score.units for score in scores)
