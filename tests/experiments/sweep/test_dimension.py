"""Intervals and choices of any kind: what Optuna suggests lies inside, and is found again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import optuna
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deo_bench.errors import UserError
from deo_bench.experiments.sweep.dimension import same
from deo_bench.experiments.sweep.space import read_space

optuna.logging.set_verbosity(optuna.logging.ERROR)
WHERE = "e.toml: sweep.space"

NUMBERS = st.floats(1e-6, 1e6).map(lambda value: float(f"{value:.3g}"))


@st.composite
def intervals(draw: st.DrawFn) -> dict[str, Any]:
    """Valid intervals of every kind."""
    kind = draw(st.sampled_from(["real", "log", "steps", "integer", "integer log", "integer steps"]))
    if "steps" in kind:
        step = draw(st.integers(1, 50)) if "integer" in kind else draw(st.sampled_from([0.1, 0.05, 0.3, 0.007, 2.5]))
        low, count = draw(st.integers(-100, 100)), draw(st.integers(1, 40))
        high = low + step * count if "integer" in kind else round(low + step * count, 6)
        return {"low": low, "high": high, "step": step, **({"integer": True} if "integer" in kind else {})}
    made: dict[str, Any] = {"log": True} if "log" in kind else {}
    if "integer" in kind:
        low = draw(st.integers(1, 1000))
        return {**made, "integer": True, "low": low, "high": low + draw(st.integers(1, 1000))}
    low, high = sorted((draw(NUMBERS), draw(NUMBERS)))
    return {**made, "low": low, "high": high if high > low else high * 2}


@given(intervals(), st.integers(0, 2**31))
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_value_of_any_interval_lies_inside_and_is_found_again(table: dict[str, Any], seed: int) -> None:
    only = read_space({"a": {"b": table}}, WHERE).dimensions[0]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    values = [only.suggest(study.ask()) for _ in range(5)]
    ends = [only.value(only.told(end)) for end in (table["low"], table["high"])]
    assert ends == [table["low"], table["high"]]
    for value in (*values, *only.tries()):
        assert table["low"] <= value <= table["high"] and isinstance(value, int if only.is_integer else float)
        told = only.told(value)
        assert told is not None and only.value(told) == value
        assert only.distribution._contains(only.distribution.to_internal_repr(told))
    if only.count() is not None and only.count() < 1000:  # type: ignore[operator]
        every = list(only.every())
        assert len(every) == only.count() and every[0] == table["low"] and every[-1] == table["high"]
        assert all(one < other for one, other in pairwise(every))


JSONS = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.lists(JSONS, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_choices_of_any_kind_are_told_apart_by_optuna_or_refused(choices: list[Any]) -> None:
    try:
        only = read_space({"a": {"b": choices}}, WHERE).dimensions[0]
    except UserError as error:
        assert "twice" in str(error) or "told apart" in str(error)
        return
    told = only.distribution
    for number, choice in enumerate(choices):
        assert told.to_internal_repr(only.names[number]) == number
        assert same(only.value(told.to_external_repr(number)), choice)
