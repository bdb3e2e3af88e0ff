"""The inter-quartile mean by hand and by a loop that sorts and cuts."""

from __future__ import annotations

import numpy as np
import pytest

from deo_bench.reports.statistics import by_each_task, interquartile, iqm, normalise, observed_bounds

SCORES = {
    "cover": [0.71, 0.75, 0.69, 0.9, 0.2, 0.74, 0.73, 0.7, 0.77, 0.72, 0.6, 0.76],
    "uses": [0.31, 0.35, 0.3, 0.29, 0.36],
}
BOUNDS = {"cover": (0.5, 0.8), "uses": (0.25, 0.35)}


def cut(values: list[float]) -> float:
    """Sorted, without a quarter of the values at each end, rounded down."""
    off = len(values) // 4
    return float(np.mean(sorted(values)[off : len(values) - off]))


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (3, 3), (4, 2), (5, 3), (10, 6), (12, 6), (17, 9)])
def test_a_quarter_rounded_down_goes_from_each_end(count: int, kept: int) -> None:
    values = [float(value) for value in np.random.default_rng(0).normal(size=count)]
    found = interquartile({"t": values})
    assert (found.kept, found.count) == (kept, count)
    assert found.value == pytest.approx(cut(values)) == pytest.approx(iqm(values))


def test_an_outlier_does_not_move_it() -> None:
    assert iqm([0.1, 0.5, 0.6, 1e9]) == pytest.approx(0.55)


def test_normalised_values_are_not_clipped() -> None:
    assert normalise([0.4, 0.5, 0.65, 0.95], 0.5, 0.8) == pytest.approx([-1 / 3, 0, 0.5, 1.5])
    with pytest.raises(ValueError, match="normalise"):
        normalise([0.5], 0.5, 0.5)


def test_tasks_are_normalised_and_pooled() -> None:
    pooled = [(v - low) / (high - low) for task, (low, high) in BOUNDS.items() for v in SCORES[task]]
    found = interquartile(SCORES, BOUNDS)
    assert found.value == pytest.approx(cut(pooled))
    assert (found.kept, found.count, found.seeds, found.has_few_seeds) == (9, 17, 5, False)


def test_the_interval_resamples_seeds_within_tasks() -> None:
    draws, replicates = np.random.default_rng(5), []
    for _ in range(3000):
        pooled: list[float] = []
        for task, values in SCORES.items():
            low, high = BOUNDS[task]
            pooled += [(v - low) / (high - low) for v in draws.choice(values, len(values))]
        replicates.append(cut(pooled))
    found = interquartile(SCORES, BOUNDS, repeats=10_000)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])), abs=0.02)
    assert interquartile(SCORES, BOUNDS) == interquartile(SCORES, BOUNDS)
    assert interquartile(SCORES, BOUNDS, seed=1).low != interquartile(SCORES, BOUNDS).low


def test_each_task_by_itself() -> None:
    found = by_each_task(SCORES, BOUNDS)
    assert list(found) == ["cover", "uses"]
    assert found["uses"].value == pytest.approx(cut([(v - 0.25) / 0.1 for v in SCORES["uses"]]))


def test_under_four_seeds_it_is_marked() -> None:
    assert interquartile({"a": [0.1, 0.2, 0.3], "b": [0.1] * 12}).has_few_seeds
    assert not interquartile({"a": [0.1] * 4}).has_few_seeds


def test_observed_bounds_are_over_all_rows_and_seeds() -> None:
    rows = [{"a": [0.1, 0.5], "b": [0.3]}, {"a": [0.05, 0.2]}, {"b": [0.9, 0.2]}]
    assert observed_bounds(rows) == {"a": (0.05, 0.5), "b": (0.2, 0.9)}


def test_every_task_needs_values() -> None:
    for scores in ({}, {"a": [0.1], "b": []}):
        with pytest.raises(ValueError, match="every task"):
            interquartile(scores)
