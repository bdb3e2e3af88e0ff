"""How often a run of one cell is better than a run of another (Agarwal et al., NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deo_bench.reports.statistics.parts import LEVEL, Measured, values_of


@dataclass(frozen=True)
class Improvement:
    """A probability with its interval, the number of tasks, and the fewest seeds of a side on any of them."""

    value: float
    low: float
    high: float
    tasks: int
    seeds: int


def probability_of_improvement(
    ours: Sequence[Sequence[Measured]],
    others: Sequence[Sequence[Measured]],
    signs: Sequence[int] | None = None,
    repeats: int = 2000,
    seed: int = 0,
) -> Improvement:
    """The mean over tasks of P(X > Y) + P(X = Y) / 2, for runs X of ours and Y of the others.

    ours, others: the scores by task, in one order of tasks; signs: [tasks], -1 where less is better. The interval is
    the percentiles of a bootstrap that draws the runs of each side and each task anew (`repeats` times). Every run
    meets every other: seeds are not paired. It is of few seeds as wide as these allow, and of one run a side a point.
    """
    if len(ours) != len(others) or not ours or not all(map(len, [*ours, *others])):
        raise ValueError("both sides need scores on every task, and one task at least")
    draws = np.random.default_rng([seed, repeats])
    value, replicates = 0.0, np.zeros(repeats)
    for mine, theirs, sign in zip(ours, others, signs or [1] * len(ours), strict=True):
        apart = sign * np.subtract.outer(values_of(mine), values_of(theirs))
        wins = (apart > 0) + (apart == 0) / 2
        shares = [_shares(count, repeats, draws) for count in wins.shape]
        value += float(wins.mean())
        replicates += np.einsum("ri,ij,rj->r", shares[0], wins, shares[1], optimize=True)
    low, high = np.quantile(replicates / len(ours), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    seeds = min(map(len, [*ours, *others]))
    return Improvement(value / len(ours), float(low), float(high), len(ours), seeds)


def _shares(count: int, repeats: int, draws: np.random.Generator) -> np.ndarray:
    """How much of each resample every run makes up [repeats, runs]."""
    return draws.multinomial(count, np.full(count, 1 / count), size=repeats) / count
