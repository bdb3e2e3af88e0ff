"""Schedules against the formula of DINO's `cosine_scheduler`, and FACTS' anchors."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deo_bench.schedules import Schedule, value_at


def test_ema_at_half_time():
    assert Schedule(start=0.996, end=1.0).at(500, 1000) == pytest.approx(0.998, abs=1e-12)


def test_weight_decay_at_half_time():
    assert Schedule(start=0.04, end=0.4).at(500, 1000) == pytest.approx(0.22, abs=1e-12)


def test_warm_up_includes_both_ends():
    rate = Schedule(start=2e-3, end=1e-6, warmup=10)
    values = [rate.at(step, 100) for step in range(100)]
    assert values[0] == 0
    assert values[9] == 2e-3
    assert values[10] == 2e-3
    assert values[3] == pytest.approx(2e-3 * 3 / 9)
    assert 1e-6 < values[99] < 1e-5


def test_the_whole_course_is_the_formula():
    rate, steps, warmup = Schedule(start=5e-4, end=1e-6, warmup=7), 40, 7
    for step in range(steps):
        t, total = step - warmup, steps - warmup
        cosine = 1e-6 + 0.5 * (5e-4 - 1e-6) * (1 + math.cos(math.pi * t / total))
        expected = 5e-4 * step / (warmup - 1) if step < warmup else cosine
        assert rate.at(step, steps) == pytest.approx(expected, rel=1e-12, abs=1e-18)


def test_linear_and_constant():
    assert [Schedule(start=0, end=1, shape="linear").at(step, 4) for step in range(4)] == [0, 0.25, 0.5, 0.75]
    assert Schedule(start=0.3, end=1, shape="constant").at(3, 4) == 0.3


@given(
    st.sampled_from(["cosine", "linear", "constant"]),
    st.integers(0, 20),
    st.integers(1, 50),
    st.floats(-5, 5),
    st.floats(-5, 5),
)
def test_it_stays_between_its_ends(shape, warmup, steps, start, end):
    schedule = Schedule(start=start, end=end, shape=shape, warmup=warmup)
    low, high = min(0 if warmup else start, start, end), max(0 if warmup else start, start, end)
    for step in (0, 1, steps // 2, steps - 1, steps, steps + 9):
        assert low - 1e-9 <= schedule.at(step, steps) <= high + 1e-9


def test_a_plain_number_is_itself():
    assert value_at(0.5, 3, 10) == 0.5
    assert value_at(Schedule(start=1, end=0), 5, 10) == pytest.approx(0.5)


def test_what_it_does_not_know_is_refused():
    with pytest.raises(ValidationError):
        Schedule(start=0, end=1, form="cosine")
    with pytest.raises(ValidationError):
        Schedule(start=0, end=1, warmup=-1)
