"""Bootstrap intervals: deterministic, by groups, and about as wide as they claim."""

from __future__ import annotations

import numpy as np
import pytest

from deo_bench.errors import UserError
from deo_bench.probes.intervals import interval, percentiles, resamples


def test_resamples_draw_as_many_as_there_are_and_repeat():
    first = resamples(30, 12, "task", 0)
    assert first.shape == (12, 30)
    assert (first.sum(1) == 30).all()
    assert np.array_equal(first, resamples(30, 12, "task", 0))
    assert not np.array_equal(first, resamples(30, 12, "task", 1))


def test_groups_come_and_go_together():
    groups = np.array([7, 3, 7, 3, 3, 9])
    weights = resamples(6, 50, "x", groups=groups)
    for group in (3, 7, 9):
        columns = weights[:, groups == group]
        assert (columns == columns[:, :1]).all()
    assert (weights[:, [0, 1, 5]].sum(1) == 3).all()


def test_grouped_intervals_are_wider_where_groups_agree():
    generator = np.random.default_rng(0)
    truth = np.zeros(200, int)
    groups = np.repeat(np.arange(20), 10)
    predicted = (generator.random(20) < 0.4).astype(int)[groups]
    scores = np.eye(2)[predicted]
    widths = []
    for each in (None, groups):
        low, high = interval("accuracy", truth, scores, predicted, resamples(200, 500, "w", groups=each))
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_a_95_percent_interval_covers_about_95_percent():
    generator = np.random.default_rng(3)
    weights = resamples(100, 400, "cover")
    covered = 0
    for _ in range(300):
        predicted = (generator.random(100) < 0.3).astype(int)
        low, high = interval("accuracy", np.zeros(100, int), np.eye(2)[predicted], predicted, weights)
        covered += low <= 0.7 <= high
    assert 0.90 < covered / 300 < 0.985


def test_percentiles_leave_out_what_is_undefined():
    values = np.append(np.arange(101.0), np.nan)
    assert percentiles(values) == pytest.approx((2.5, 97.5))
    with pytest.raises(UserError, match="undefined on every resample"):
        percentiles(np.array([np.nan]))


def test_an_undefined_metric_says_why_for_its_kind_of_labels():
    weights = resamples(4, 5, "u")
    with pytest.raises(UserError, match="numbers that are scored may not vary"):
        interval("r2", np.full(4, 0.1), np.ones((4, 1)), None, weights)
    with pytest.raises(UserError, match="no positive label"):
        interval("micro_map", np.zeros((4, 2), int), np.ones((4, 2)), None, weights)
    with pytest.raises(UserError, match="no pixel that counts"):
        interval("miou", np.zeros((4, 2), int), np.zeros((4, 2, 2), int), None, weights)


def test_mistakes_are_one_line():
    with pytest.raises(UserError, match="report split is empty"):
        resamples(0, 10)
    with pytest.raises(UserError, match="2 group ids for 3 images"):
        resamples(3, 10, groups=np.array([0, 1]))
