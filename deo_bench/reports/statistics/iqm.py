"""GEO-Bench's summary over tasks: the inter-quartile mean of normalised scores, with a stratified bootstrap.

Lacoste et al., GEO-Bench (NeurIPS 2023), after Agarwal et al. (NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from deo_bench.reports.statistics.parts import LEVEL

TRIMMED = 0.25
FEW_SEEDS = 4
"""Below so many values nothing is trimmed: the inter-quartile mean is the plain mean."""

Bounds = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Interquartile:
    """An inter-quartile mean with its interval; `kept` of `count` values are in it, `seeds` the fewest of a task."""

    value: float
    low: float
    high: float
    kept: int
    count: int
    seeds: int

    @property
    def has_few_seeds(self) -> bool:
        """Whether a task has so few seeds that nothing of it alone would be trimmed."""
        return self.seeds < FEW_SEEDS


def iqm(values: Sequence[float] | np.ndarray) -> float:
    """The mean without the lowest and the highest quarter, each rounded down (scipy's `trim_mean`)."""
    return float(stats.trim_mean(np.asarray(values, dtype=np.float64), TRIMMED))


def normalise(values: Sequence[float] | np.ndarray, low: float, high: float) -> np.ndarray:
    """Values [N] with `low` as 0 and `high` as 1; not clipped, so what lies beyond the bounds stays there."""
    if not high > low:
        raise ValueError(f"cannot normalise between {low} and {high}")
    return (np.asarray(values, dtype=np.float64) - low) / (high - low)


def observed_bounds(rows: Iterable[Mapping[str, Sequence[float]]]) -> dict[str, tuple[float, float]]:
    """The least and the greatest value of each task over all rows and seeds; a row is its values by task."""
    made: dict[str, tuple[float, float]] = {}
    for row in rows:
        for task, values in row.items():
            low, high = made.get(task, (np.inf, -np.inf))
            made[task] = (min(low, *map(float, values)), max(high, *map(float, values)))
    return made


def interquartile(
    by_task: Mapping[str, Sequence[float]], bounds: Bounds | None = None, repeats: int = 1000, seed: int = 0
) -> Interquartile:
    """The inter-quartile mean over tasks and seeds together; of one task, pass just that task.

    by_task: the seeds' values by task; bounds: the values that become 0 and 1, by task, none to leave values as they
    are. The interval is the percentiles of `repeats` resamples of the seeds within each task (GEO-Bench has 100).
    """
    if not by_task or not all(len(values) for values in by_task.values()):
        raise ValueError("an inter-quartile mean needs values on every task, and one task at least")
    draws = np.random.default_rng([seed, repeats])
    pooled, replicates = [], []
    for task, values in by_task.items():
        scaled = np.asarray(values, dtype=np.float64) if bounds is None else normalise(values, *bounds[task])
        pooled.append(scaled)
        replicates.append(scaled[draws.integers(0, len(scaled), (repeats, len(scaled)))])
    spread = stats.trim_mean(np.concatenate(replicates, axis=1), TRIMMED, axis=1)
    low, high = np.quantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    count = sum(map(len, pooled))
    kept = count - 2 * int(TRIMMED * count)
    return Interquartile(iqm(np.concatenate(pooled)), float(low), float(high), kept, count, min(map(len, pooled)))


def by_each_task(
    by_task: Mapping[str, Sequence[float]], bounds: Bounds | None = None, repeats: int = 1000, seed: int = 0
) -> dict[str, Interquartile]:
    """The inter-quartile mean over the seeds of each task by itself."""
    return {task: interquartile({task: values}, bounds, repeats, seed) for task, values in by_task.items()}
