"""The probability of improvement against Mann and Whitney's U and a plain bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from deo_bench.reports.statistics import probability_of_improvement
from tests.reports.statistics.made import sure

OURS = [[0.6, 0.7, 0.8], [0.5, 0.52, 0.9, 0.4]]
OTHERS = [[0.65, 0.7, 0.1, 0.2], [0.5, 0.6, 0.55]]


def test_by_hand() -> None:
    # of 12 pairs: .6 beats two; .7 two and ties one; .8 four
    assert probability_of_improvement([sure(OURS[0])], [sure(OTHERS[0])]).value == pytest.approx((2 + 3.5 + 4) / 12)


def test_it_is_the_mean_of_u_over_pairs() -> None:
    found = probability_of_improvement([*map(sure, OURS)], [*map(sure, OTHERS)])
    known = [stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in zip(OURS, OTHERS, strict=True)]
    assert (found.value, found.tasks, found.seeds) == (pytest.approx(np.mean(known)), 2, 3)


def test_the_interval_is_a_bootstrap_of_runs_within_tasks() -> None:
    draws, replicates = np.random.default_rng(1), []
    for _ in range(4000):
        tasks = []
        for x, y in zip(OURS, OTHERS, strict=True):
            a, b = draws.choice(x, len(x)), draws.choice(y, len(y))
            tasks.append(np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b)))
        replicates.append(np.mean(tasks))
    found = probability_of_improvement([*map(sure, OURS)], [*map(sure, OTHERS)], repeats=20_000)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])), abs=0.03)
    assert found == probability_of_improvement([*map(sure, OURS)], [*map(sure, OTHERS)], repeats=20_000)


def test_where_less_is_better() -> None:
    more = probability_of_improvement([*map(sure, OURS)], [*map(sure, OTHERS)], repeats=20_000)
    less = probability_of_improvement([*map(sure, OURS)], [*map(sure, OTHERS)], signs=[-1, -1], repeats=20_000)
    assert less.value == pytest.approx(1 - more.value)
    assert (less.low, less.high) == pytest.approx((1 - more.high, 1 - more.low), abs=0.01)


def test_one_run_a_side_is_a_point() -> None:
    found = probability_of_improvement([sure([0.6])], [sure([0.5])])
    assert (found.value, found.low, found.high, found.seeds) == (1, 1, 1, 1)


def test_every_task_needs_both_sides() -> None:
    for ours, others in (([], []), ([sure([0.5])], []), ([sure([0.5])], [[]])):
        with pytest.raises(ValueError, match="every task"):
            probability_of_improvement(ours, others)
