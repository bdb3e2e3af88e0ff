"""Two sides are compared where they were scored alike, and told apart with the reason where they were not."""

from __future__ import annotations

from typing import Any

import pytest

from deo_bench.reports.build import build_tables
from deo_bench.reports.cells import Scores
from deo_bench.reports.compare import Comparison, compare
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.frame import read_scores
from tests.reports.conftest import FakeStore, run_name


def held(fake: FakeStore, a: Entry, b: Entry) -> Comparison:
    return compare(read_scores(fake.root), a, b)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"protocol": "tgb-v0.4"}, "B is scored under scenes-v1: protocols are never mixed"),
        ({"bands": "rgb"}, "B is scored on bands s2_10"),
        ({"weights": "ema"}, "B is scored with student weights"),
        ({"partition": "0.01x"}, "B is scored with partition default"),
        ({"probe": "linear"}, "B is scored by knn5_l2"),
        ({"step": 3}, "B has no score of step 3"),
        ({"task": "other"}, "B is not scored on it"),
        ({"task_content": "f" * 64}, "A and B are scored on other data"),
        ({"band_labels": "corrected", "digest": "0" * 8}, "A and B are scored on other band labels"),
        ({"digest": "0" * 8}, "A and B are scored by other versions"),
    ],
    ids=str,
)
def test_what_was_made_otherwise_is_never_compared(fake: FakeStore, fields: dict[str, Any], reason: str) -> None:
    a = fake.cell("a", [0.9, 0.8], **{"task": "cover", **fields})
    b = fake.cell("b", [0.1, 0.2])
    made = held(fake, a, b)
    assert made.compared == [] and made.apart[0][1] == reason
    assert held(fake, b, a).compared == []


def test_the_difference_is_that_of_the_tables(fake: FakeStore, scope: Scope) -> None:
    a, b = fake.cell("a", [0.8, 0.75, 0.82]), fake.cell("b", [0.6, 0.61, 0.58])
    (one,) = held(fake, a, b).compared
    assert (one.a.value, one.b.value) == (pytest.approx(0.79, abs=0.003), pytest.approx(0.597, abs=0.003))
    assert one.better == "A" and one.seeds == (0, 1, 2) and one.difference.pairing == "paired"
    table = build_tables(Scores(read_scores(fake.root), [a, b], scope), [a, b], scope, against="b")[0]
    told = table.rows[0].cells[0].difference
    # Rows that are measured together are one product of matrices, whose last digit depends on how many they are.
    for name in ("value", "low", "high", "p", "df"):
        assert getattr(told, name) == pytest.approx(getattr(one.difference, name), rel=1e-9)
    (turned,) = held(fake, b, a).compared
    assert turned.difference.value == -one.difference.value and turned.better == "B"
    assert (turned.difference.low, turned.difference.high) == (-one.difference.high, -one.difference.low)


def test_less_is_better_where_the_metric_says_so(fake: FakeStore) -> None:
    a, b = fake.cell("a", [0.8, 0.82], direction="min"), fake.cell("b", [0.5, 0.52], direction="min")
    (one,) = held(fake, a, b).compared
    assert one.difference.value > 0 and one.difference.excludes_zero and one.better == "B"


def test_no_winner_where_the_interval_includes_zero(fake: FakeStore) -> None:
    (one,) = held(fake, fake.cell("a", [0.5, 0.6]), fake.cell("b", [0.56, 0.5])).compared
    assert one.difference.low < 0 < one.difference.high and one.better == ""


def test_only_common_seeds_are_in_the_means(fake: FakeStore) -> None:
    a, b = fake.cell("a", [0.9, 0.7], seeds=[0, 1]), fake.cell("b", [0.5, 0.2], seeds=[1, 2])
    (one,) = held(fake, a, b).compared
    assert one.seeds == (1,) and (one.a.value, one.b.value) == (0.7, 0.5)
    assert one.difference.value == pytest.approx(0.2) and one.difference.seeds == 1


def test_without_common_seeds_it_is_unpaired_and_over_all(fake: FakeStore) -> None:
    a, b = fake.cell("a", [0.9, 0.7], seeds=[0, 1]), fake.cell("b", [0.5, 0.3], seeds=[2, 3])
    (one,) = held(fake, a, b).compared
    assert one.seeds == () and one.difference.pairing == "unpaired"
    assert (one.a.value, one.b.value) == (pytest.approx(0.8), pytest.approx(0.4))


def test_other_test_images_under_one_digest_are_refused(fake: FakeStore) -> None:
    a, b = fake.cell("a", [0.9], digest="1" * 8), fake.cell("b", [0.5], digest="1" * 8, shift=1)
    made = held(fake, a, b)
    assert made.compared == [] and "its test images are not those of the other rows" in made.problems[0]
    assert made.apart[0][1].startswith("B: ")


def test_old_and_new_versions_of_a_score_are_held_against_their_own(fake: FakeStore) -> None:
    a = fake.cell("a", [0.9], digest="1" * 8)
    b = fake.cell("b", [0.5], digest="1" * 8)
    fake.score(run_name("a", 0), share=0.8, digest="2" * 8)
    (one,) = held(fake, a, b).compared
    assert one.digest == "1" * 8 and one.a.value == 0.9
    fake.score(run_name("b", 0), share=0.2, digest="2" * 8)
    assert [round(one.difference.value, 6) for one in held(fake, a, b).compared] == [0.4, 0.6]


def test_partitions_and_kept_steps_are_held_against_their_own(fake: FakeStore) -> None:
    a, b = fake.cell("a", [0.9], partition="0.01x"), fake.cell("b", [0.5], partition="0.01x")
    for entry, share in ((a, 0.8), (b, 0.2)):
        fake.score(entry.subjects[0][1], "cover", share, step=3)
    made = held(fake, a, b)
    assert {(one.where["partition"], one.where["step"]): round(one.difference.value, 6) for one in made.compared} == {
        ("0.01x", None): 0.4,
        ("default", 3): 0.6,
    }
    assert made.apart == []


def test_a_kept_last_step_is_no_second_difference(fake: FakeStore) -> None:
    a, b = fake.cell("a", [0.9]), fake.cell("b", [0.5])
    for entry, share in ((a, 0.9), (b, 0.5)):
        for step in (2, 4):
            fake.score(entry.subjects[0][1], "cover", share, step=step)
    frame = read_scores(fake.root)
    assert {one.where["step"] for one in compare(frame, a, b).compared if one.where["task"] == "cover"} == {None, 2, 4}
    made = compare(frame, a, b, last=4)
    assert [one.where["step"] for one in made.compared if one.where["task"] == "cover"] == [None, 2]
    assert made.apart == []
