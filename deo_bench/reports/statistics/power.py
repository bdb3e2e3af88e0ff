"""How often a difference of a given size would be found, and how many seeds or test images that takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from deo_bench.reports.statistics.interval import Difference, has_spread
from deo_bench.reports.statistics.pvalue import KNOWN_FROM, behrens_fisher, chi_square_rule

_MOST_IMAGES = 1e6
_HALVINGS = 22
"""Of an interval of logarithms a few units wide: right to a millionth."""


@dataclass(frozen=True)
class Needed:
    """What would decide a difference if its observed size were the true one.

    seeds: in total (of each side, where they are not paired), none where no number up to the most does; images_factor:
    then, how many times as many test images it takes at the least, however many seeds; now: the power with the seeds
    that there are, none where they show no spread; reason: why nothing can be said.
    """

    seeds: int | None = None
    images_factor: float | None = None
    now: float | None = None
    reason: str = ""


def power(
    value: float, seed_sd: float, image_variance: float, seeds: int, level: float = 0.05, least: float = 0.0
) -> float:
    """How often the two-sided test of `p_value` finds a true difference `value` at a level.

    seed_sd: the standard deviation of one seed's (paired) difference; the test estimates it on seeds - 1 degrees of
    freedom. image_variance: of the difference, from the choice of test images; taken as known, as it is with more
    than 200 of them. Without it this is the power of the t test. least: of seed_sd^2, what the test images do to each
    run by itself, below which no estimate of it is taken.
    """
    if seeds < 2:
        raise ValueError(f"a test needs two seeds or more, not {seeds}")
    true = max(seed_sd**2, least) / seeds
    if true + image_variance <= 0:
        return float(value != 0)
    if seeds - 1 > KNOWN_FROM or true == 0:
        estimated, weights = np.array([true]), np.ones(1)
    else:
        nodes, weights = chi_square_rule(seeds - 1)
        estimated = np.maximum(true * nodes, least / seeds)
    critical = _critical(estimated, image_variance, seeds - 1, level)
    error = np.sqrt(true + image_variance)
    found = special.ndtr((abs(value) - critical) / error) + special.ndtr((-abs(value) - critical) / error)
    return float(weights @ found)


def seeds_needed(difference: Difference, level: float = 0.05, power: float = 0.8, most: int = 1000) -> Needed:
    """How many seeds would find the difference with that power, if its observed size were the true one.

    level: of its p value; .05 / m for the least that one of m corrected comparisons needs. An observed size
    flatters where it was picked for being large, and the spread of few seeds is itself uncertain: plan for more. Sides
    that are not paired are taken to get the same number of seeds each, tested on one side's degrees of freedom.
    """
    of_seeds = [part for part in difference.parts if part.source == "seeds"]
    if not of_seeds:
        return Needed(reason="a single run does not show how seeds vary")
    if difference.value == 0:
        return Needed(reason="the observed difference is zero")
    if not has_spread(difference.value, difference.parts):
        return Needed(reason="neither seeds nor test images show any spread")
    sd = float(np.sqrt(sum(part.variance * (part.df + 1) for part in of_seeds)))
    least = sum(part.least * (part.df + 1) for part in of_seeds)
    images = sum(part.variance for part in difference.parts if part.source == "images")

    def chance(seeds: int, factor: float = 1.0) -> float:
        return _power(difference.value, sd, images / factor, seeds, level, least)

    now = chance(max(difference.seeds, 2))
    if chance(most) >= power:
        return Needed(seeds=_first(lambda seeds: chance(seeds) >= power, most), now=now)
    if chance(most, _MOST_IMAGES) < power:
        return Needed(now=now, reason=f"too small for {most:,} seeds on any number of test images")
    low, high = 0.0, float(np.log(_MOST_IMAGES))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(most, float(np.exp(middle))) >= power else (middle, high)
    return Needed(images_factor=float(np.exp(high)), now=now)


_power = power


def _first(holds: Callable[[int], bool], most: int) -> int:
    """The fewest seeds, two or more, for which it holds; it does for the most."""
    low, high = 2, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _critical(seed_variances: np.ndarray, image_variance: float, df: int, level: float) -> np.ndarray:
    """The difference whose p value is the level, for each estimate of the seeds' part [N]."""
    variances = np.column_stack([seed_variances, np.full_like(seed_variances, image_variance)])
    error = np.sqrt(variances.sum(1))
    normal = float(special.ndtri(1 - level / 2))
    if df > KNOWN_FROM:
        return np.asarray(normal * error)
    # between what it would be with all of the variance known, and with none of it: p is a mixture of the two
    widest = float(special.stdtrit(df, 1 - level / 2))
    low, high = np.full_like(error, np.log(normal) - 0.01), np.full_like(error, np.log(widest) + 0.01)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_above = behrens_fisher(np.exp(middle) * error, variances, (df, np.inf)) > level
        low, high = np.where(is_above, middle, low), np.where(is_above, high, middle)
    return np.asarray(np.exp(high) * error)
