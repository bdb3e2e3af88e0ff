"""Trials as tables and figures read them: what was best when, where a trial lies, a record each."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deo_bench.reports.searched import Axis, Tried
from deo_bench.reports.trials import (
    best,
    choice_of,
    comma_separated,
    is_over,
    last_measured,
    position,
    running_best,
    value_of,
)
from tests.reports import studies

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def tried(number: int, value: float | None, **fields: Any) -> Tried:
    return Tried(number, fields.pop("state", "complete"), (value,), fields.pop("settings", {}), **fields)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.sampled_from([1, -1]))
def test_the_best_so_far_is_the_best_of_all_before(values: list[float], order: int) -> None:
    made = running_best([(tried(number, value), value) for number, value in enumerate(values)], order)
    expected = [
        (number, value)
        for number, value in enumerate(values)
        if all(order * value > order * earlier for earlier in values[:number])
    ]
    assert made == expected


def test_what_failed_or_is_no_number_has_no_value() -> None:
    assert [value_of(tried(0, value, state=state), 0) for state, value in (
        ("complete", 0.5), ("pruned", 0.5), ("failed", None), ("running", None), ("complete", float("nan")),
        ("complete", float("inf")),
    )] == [0.5, None, None, None, None, None]  # fmt: skip
    assert value_of(Tried(0, "complete", (), {}), 0) is None


def test_the_best_are_by_direction_and_of_equal_ones_the_first() -> None:
    made = [tried(0, 0.5), tried(1, 0.7), tried(2, 0.7), tried(3, None, state="failed"), tried(4, 0.2)]
    up = studies.study(5, made=made, has_finalists=False)
    down = replace(up, aims=(replace(studies.KNN, direction="min"),))
    assert [trial.number for trial in best(up, most=3)] == [1, 2, 0]
    assert [trial.number for trial in best(down, most=2)] == [4, 0]


def test_the_last_measurement_is_of_the_largest_share_that_has_a_number() -> None:
    assert last_measured(tried(0, None, measured={0.3: 0.4, 0.1: 0.6, 0.5: float("nan")})) == (0.3, 0.4)
    assert last_measured(tried(0, None)) is None


def test_a_study_is_over_when_its_budget_is_spent_and_nothing_runs() -> None:
    assert is_over(studies.study(6)) and not is_over(studies.study(6, wanted=7))
    made = [*studies.trials(5), tried(5, None, state="running")]
    assert not is_over(studies.study(6, made=made))


@pytest.mark.parametrize(
    ("choices", "value", "place"),
    [
        (("cosine", "smooth_l1"), "smooth_l1", 1),
        (("early+mid", "late"), ["early", "mid"], 0),
        (('["early", "mid"]', "late"), ["early", "mid"], 0),
        (("off", "phi_s (dim=3)"), {"use": "phi_s", "dim": 3}, 1),
        (("True", "False"), False, 1),
        (("true", "false"), False, 1),
        (("16", "32"), 32, 1),
        (("a", "b"), "c", None),
    ],
)
def test_a_choice_is_found_whichever_way_its_text_says_it(
    choices: tuple[str, ...], value: Any, place: int | None
) -> None:
    assert choice_of(Axis("a.b", "b", choices=choices), value) == place


@given(ANY, st.booleans(), st.booleans())
def test_whatever_a_trial_was_set_to_it_lies_somewhere_or_nowhere(value: Any, is_log: bool, has_choices: bool) -> None:
    axis = Axis("a.b", "b", is_log, 0.1, 1.0, ("x", "y") if has_choices else ())
    at = position(axis, tried(0, 0.5, settings={"a.b": value}))
    assert at is None or (abs(at) < float("inf") and (not is_log or has_choices or at > 0))


def test_every_trial_is_a_record_with_what_was_tried_to_the_last_digit() -> None:
    study = studies.study(20, cell="optical=none, x")
    records = list(csv.DictReader(io.StringIO(comma_separated([study, studies.two_aims(8)]))))
    assert len(records) == 28 and [record["number"] for record in records[:20]] == [str(n) for n in range(20)]
    one = records[3]
    weight = study.trials[3].settings[studies.WEIGHT.path]
    assert float(one[studies.WEIGHT.path]) == weight and one["cell"] == "optical=none, x"
    assert one["state"] == "complete" and one["cost_nothing"] == "True" and one["run"] == f"{3:012x}-s1000"
    assert one[studies.KNN.name] == f"{study.trials[3].values[0]:.9g}" and one["parameters"] == ""
    pruned = records[4]
    assert (pruned["state"], pruned[studies.KNN.name], pruned["measured_at"]) == ("pruned", "", "0.4")
    for trial, record in zip(study.trials, records, strict=False):
        assert (record[studies.BETA.path] == "") == (studies.BETA.path not in trial.settings)
    assert records[20]["parameters"] == f"{studies.two_aims(8).trials[0].values[1]:.9g}"


def test_tables_and_lists_are_one_field_each() -> None:
    study = studies.categories()
    records = list(csv.DictReader(io.StringIO(comma_separated([study]))))
    assert [json.loads(record["objective.optical.on"]) for record in records] == [
        trial.settings["objective.optical.on"] for trial in study.trials
    ]


def test_an_aim_that_is_called_like_a_path_stays_apart() -> None:
    study = studies.study(3, aims=(replace(studies.KNN, name="run"),))
    first = next(iter(csv.DictReader(io.StringIO(comma_separated([study])))))
    assert first["run"].endswith("-s1000") and float(first["aim run"]) > 0.5
