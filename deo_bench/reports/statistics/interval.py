"""Intervals over seeds and test images together, and paired differences: what an ablation may claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from deo_bench.reports.statistics.parts import (
    LEVEL,
    Measured,
    Part,
    alone,
    between,
    image_part,
    images_of,
    replicates_of,
    satterthwaite,
    seed_part,
    units_of,
    values_of,
)
from deo_bench.reports.statistics.pvalue import p_value

Pairing = Literal["paired", "unpaired", "one run"]
"""`paired`: over common seeds and test images; `unpaired`: no common seed, test images still in common; `one run`:
a side is a single run without a seed, so that only the other sides' seeds vary."""

NO_SPREAD = 1e-9
"""Standard errors below this share of the value are rounding."""

Side = tuple[float, Sequence[Measured]]
"""A weight and the scores whose mean it weighs."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval; `df` is none where the interval is one score's own bootstrap.

    is_share: whether it is a share, shown as percent, or in a unit of its own.
    """

    value: float
    low: float
    high: float
    seeds: int
    df: float | None
    is_share: bool = True

    @property
    def factor(self) -> float:
        """What makes it the number that is shown: 100 of a share, 1 of anything else."""
        return 100.0 if self.is_share else 1.0


@dataclass(frozen=True)
class Difference:
    """A mean difference with its interval, p value (two-sided, uncorrected) and what it was computed over.

    df: of the interval, Satterthwaite's; p: Behrens' and Fisher's, so that near its level it and the interval may
    disagree; parts: of the variance; is_share: of scores that are shares, so that it is shown in points.
    """

    value: float
    low: float
    high: float
    p: float
    df: float
    seeds: int
    pairing: Pairing
    parts: tuple[Part, ...] = ()
    is_share: bool = True

    @property
    def factor(self) -> float:
        """What makes it the number that is shown: 100 of shares, 1 of anything else."""
        return 100.0 if self.is_share else 1.0

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval, taken by itself, excludes zero."""
        return self.low > 0 or self.high < 0


def mean_over_seeds(scores: Sequence[Measured]) -> Estimate:
    """The mean over seeds with a t interval of seeds and test images; a single run has its own bootstrap's.

    Its variance is max(s^2, v - c) / S + c: s^2 of the values of S seeds; v the mean over seeds of the variance over
    resamples of the test images, c the mean covariance of two seeds', at least zero; v and c times n / (n - 1). Degrees
    of freedom, S - 1 and n - 1, are joined as Satterthwaite does. Differences likewise, of paired ones s^2, v and c.
    """
    value = float(np.mean([score.value for score in scores]))
    if len(scores) == 1:
        return _own_interval(scores[0])
    replicates, units = replicates_of(scores), units_of(scores)
    parts = [seed_part(values_of(scores), least=alone(replicates, units)), image_part(replicates, units)]
    low, high, df = _interval(value, parts)
    return Estimate(value, low, high, len(scores), df, are_shares(scores))


def difference(ours: Sequence[Measured], others: Sequence[Measured]) -> Difference:
    """The mean of `ours` minus the mean of `others`, both scored on the same test images.

    Common seeds are paired, run by run. Without any, both sides' seeds vary. Against one run without a seed (a
    baseline) only our seeds do. A side with one run of several seeds' kind cannot say how they vary: that part is
    then left out of the interval, `seeds` is 1, and p is 1.
    """
    return contrast([(1.0, ours), (-1.0, others)])


def contrast(sides: Sequence[Side]) -> Difference:
    """A weighted sum of means over seeds, all scored on the same test images: `difference` of more than two.

    Seeds that all sides have are paired. Without any, each side's seeds vary by themselves, their variance weighed by
    the square. A single run without a seed (a baseline) has no seeds that vary; if all the others have common
    seeds, these are paired. `seeds` is the fewest of any side that varies; where it is one, p is 1: nothing is
    claimed of a recipe by one run.
    """
    if not sides or not all(scores for _, scores in sides):
        raise ValueError("a contrast needs scores on every side")
    varying = [scores for _, scores in sides if not _is_one_run(scores)]
    pairing: Pairing = "paired" if len(varying) == len(sides) else "one run"
    if len(varying) <= 1 and pairing == "one run":
        count = len(varying[0]) if varying else 1
        gain = _paired([(w, [scores[0]] * count if _is_one_run(scores) else scores) for w, scores in sides], pairing)
    elif common := _common_seeds(varying):
        gain = _paired([(weight, _at(scores, common)) for weight, scores in sides], pairing)
    else:
        gain = _unpaired(sides)
    gain = replace(gain, is_share=all(are_shares(scores) for _, scores in sides))
    # How seeds vary is not in the parts: an interval over test images alone is no evidence about a recipe.
    return replace(gain, p=1.0) if varying and gain.seeds == 1 else gain


def together(by_task: Sequence[Sequence[Measured]]) -> list[Measured]:
    """The mean over tasks of each run, for comparisons of tasks together: one score a seed that every task has.

    Replicates are averaged one by one. Tasks with other test images draw theirs independently, so the variances of the
    tasks add up; tasks on the same images share their draws. units: the fewest of any task, which gives the images'
    part too few degrees of freedom rather than too many. Empty where no seed has all tasks. A ValueError where any is
    no share: what is in different units has no mean.
    """
    if not all(are_shares(scores) for scores in by_task):
        raise ValueError("only shares have a mean over tasks")
    seeds = [score.seed for score in by_task[0]] if by_task else []
    tables = [{score.seed: score for score in scores} for scores in by_task]
    runs = [[table[seed] for table in tables] for seed in seeds if all(seed in table for table in tables)]
    return [
        Measured(run[0].seed, float(values_of(run).mean()), replicates_of(run).mean(0), units_of(run)) for run in runs
    ]


def are_shares(scores: Sequence[Measured]) -> bool:
    """Whether all of them are shares."""
    return all(score.is_share for score in scores)


def weighed(value: float, parts: Sequence[Part], seeds: int, pairing: Pairing) -> Difference:
    """A difference of that value and these parts of its variance."""
    low, high, df = _interval(value, parts)
    return Difference(value, low, high, p_value(value, parts), df, seeds, pairing, tuple(parts))


def has_spread(value: float, parts: Sequence[Part]) -> bool:
    """Whether the variance of a value is more than rounding; a value of zero needs none."""
    return value == 0 or sum(part.variance for part in parts) > (NO_SPREAD * value) ** 2


def _is_one_run(scores: Sequence[Measured]) -> bool:
    return len(scores) == 1 and scores[0].seed is None


def _common_seeds(sides: Sequence[Sequence[Measured]]) -> list[int]:
    held = [{score.seed for score in scores} for scores in sides]
    return [s.seed for s in sides[0] if s.seed is not None and all(s.seed in seeds for seeds in held)]


def _at(scores: Sequence[Measured], seeds: Sequence[int]) -> list[Measured]:
    """The scores at those seeds; one run without a seed stands for all of them."""
    if _is_one_run(scores):
        return [scores[0]] * len(seeds)
    table = {score.seed: score for score in scores}
    return [table[seed] for seed in seeds]


def _paired(sides: Sequence[Side], pairing: Pairing) -> Difference:
    values = np.sum([weight * values_of(scores) for weight, scores in sides], axis=0)
    replicates = np.sum([weight * replicates_of(scores) for weight, scores in sides], axis=0)
    units = min(units_of(scores) for _, scores in sides)
    parts = [image_part(replicates, units)]
    if len(values) > 1:
        parts.append(seed_part(values, least=alone(replicates, units)))
    return _judged(weighed(float(values.mean()), parts, len(values), pairing))


def _unpaired(sides: Sequence[Side]) -> Difference:
    weights = np.array([weight for weight, _ in sides])
    value = float(weights @ [values_of(scores).mean() for _, scores in sides])
    replicates = [replicates_of(scores) for _, scores in sides]
    shared = np.atleast_2d(np.cov([side.mean(0) for side in replicates]))
    np.fill_diagonal(shared, [between(side) for side in replicates])
    images = max(float(weights @ shared @ weights), 0.0)
    units = min(units_of(scores) for _, scores in sides)
    parts = [images_of(images, units)]
    parts += [
        seed_part(values_of(scores), weight, alone(held, units))
        for (weight, scores), held in zip(sides, replicates, strict=True)
        if len(scores) > 1
    ]
    seeds = min(len(scores) for _, scores in sides if not _is_one_run(scores))
    return _judged(weighed(value, parts, seeds, "unpaired"))


def _judged(gain: Difference) -> Difference:
    """Runs that agree to the digit on few images show no spread, by which nothing can be judged: p is then 1."""
    return gain if has_spread(gain.value, gain.parts) else replace(gain, p=1.0)


def _interval(value: float, parts: Sequence[Part]) -> tuple[float, float, float]:
    """Low, high, degrees of freedom."""
    error, df = float(np.sqrt(sum(part.variance for part in parts))), satterthwaite(parts)
    half = float(special.stdtrit(df, (1 + LEVEL) / 2)) * error
    return value - half, value + half, df


def _own_interval(score: Measured) -> Estimate:
    """The interval that the score file states, else the percentiles of the replicates."""
    if score.low is not None and score.high is not None:
        return Estimate(score.value, score.low, score.high, 1, None, score.is_share)
    low, high = np.quantile(score.replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(score.value, float(low), float(high), 1, None, score.is_share)
