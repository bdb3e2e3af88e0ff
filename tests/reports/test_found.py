"""A sweep's finalists against fresh seeds: intervals and gaps in closed form, and what the store says of *report*."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.found import fresh_estimate, held, is_beyond
from deo_bench.reports.searched import Aim, Finalist, Searched
from deo_bench.reports.sections.finalists import notes_of
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.statistics import difference, holm, mean_over_seeds
from tests.reports import studies
from tests.reports.conftest import FakeStore

FRESH = {0: 0.60, 1: 0.61, 2: 0.63}


def test_the_interval_of_fresh_seeds_is_students() -> None:
    values = np.array(list(FRESH.values()))
    found = fresh_estimate(values, studies.KNN)
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert found is not None and (found.seeds, found.is_share) == (3, True)
    assert (found.low, found.high) == pytest.approx((low, high))
    one = fresh_estimate(values[:1], studies.PARAMETERS)
    assert one is not None and one.low == one.value == one.high and not one.is_share
    assert fresh_estimate(values[:0], studies.KNN) is None


def test_a_gap_is_beyond_where_one_more_seed_would_seldom_lie() -> None:
    values = np.array(list(FRESH.values()))
    edge = stats.t.ppf(0.975, 2) * values.std(ddof=1) * sqrt(4 / 3)
    assert is_beyond(1.001 * edge, values) and is_beyond(-1.001 * edge, values)
    assert not is_beyond(0.999 * edge, values)
    assert not is_beyond(5.0, values[:1]) and not is_beyond(5.0, np.array([0.5, 0.5])), "no spread, no verdict"


def test_without_luck_one_gap_in_twenty_is_beyond() -> None:
    draws = np.random.default_rng(0).normal(0, 1, (20_000, 4))
    share = np.mean([is_beyond(row[1:].mean() - row[0], row[1:]) for row in draws])
    assert share == pytest.approx(0.05, abs=0.005)


def study(*finalists: Finalist, aims: tuple[Aim, ...] = (studies.KNN,)) -> Searched:
    return studies.study(12, finalists=finalists, aims=aims)


def answer_of(fake: FakeStore, scope: Scope, entries: list[Entry], *searched: Searched, **spec: object) -> Answer:
    return make_answer(ReportSpec(**spec), entries, scope, fake.root, searched=searched)  # type: ignore[arg-type]


DEFAULT = Finalist("default", None, (0.58,), ({0: 0.58, 1: 0.57, 2: 0.59},))
BEST = Finalist("trial 7", 7, (0.66,), (FRESH,))


def test_report_is_the_mean_of_the_rows_scores_and_the_difference_is_paired(fake: FakeStore, scope: Scope) -> None:
    both = replace(scope, tasks=("cover", "uses"))
    aim = replace(studies.KNN, tasks=("cover", "uses"))
    entries = []
    for row, shares in (("default", [0.5, 0.52, 0.54]), ("trial 7", [0.6, 0.61, 0.65]), ("trial 2", [0.5, 0.54, 0.53])):
        fake.cell(row, [share - 0.1 for share in shares], task="uses")
        entries.append(fake.cell(row, shares))
    answer = answer_of(fake, both, entries, study(DEFAULT, BEST, replace(BEST, row="trial 2"), aims=(aim,)))
    rows = held(answer)[0]
    assert list(rows) == ["default", "trial 7", "trial 2"]
    (one,), (base,) = rows["trial 7"], rows["default"]
    assert one.reported is not None and one.reported.value == pytest.approx(0.57, abs=0.003)
    assert one.reported.seeds == 3 and base.against is None
    assert one.against is not None and one.against.pairing == "paired" and one.against.value == pytest.approx(0.1)
    gains = [gain for row in ("trial 7", "trial 2") if (gain := rows[row][0].against)]
    assert [rows[row][0].corrected for row in ("trial 7", "trial 2")] == pytest.approx(holm([g.p for g in gains]))
    assert one.gap == pytest.approx(np.mean(list(FRESH.values())) - 0.66) and one.is_beyond is False


def test_the_row_of_the_main_scores_is_the_one_that_is_meant(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("default", [0.5, 0.51]), fake.cell("trial 7", [0.6, 0.62])]
    answer = answer_of(fake, scope, entries, study(DEFAULT, BEST))
    table = {row.label: row.cells[0].estimate for row in answer.tables[0].rows}
    assert {row: one[0].reported for row, one in held(answer)[0].items()} == table
    column = answer.tables[0].columns[0]
    scores = [answer.finder.find(entry, column).scores for entry in reversed(entries)]
    assert held(answer)[0]["trial 7"][0].against == difference(*scores)
    assert mean_over_seeds(scores[0]) == held(answer)[0]["trial 7"][0].reported


def test_what_is_not_there_is_said(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("default", [0.5, 0.51])]
    other = replace(studies.KNN, probe="linear")
    made = study(
        replace(DEFAULT, searched=(0.5, None, 1e6), fresh=({0: 0.5}, {}, {0: 1e6, 1: 1e6})),
        replace(BEST, searched=(0.6, 0.6, 2e6), fresh=({}, FRESH, {0: 2e6, 1: 2e6})),
        aims=(studies.KNN, other, studies.PARAMETERS),
    )
    rows = held(answer_of(fake, scope, entries, made))[0]
    assert [one.reason for one in rows["default"]] == [
        "", "the report does not show probe 'linear'", "a cost is on no split",
    ]  # fmt: skip
    assert rows["trial 7"][0].reason == "not among the rows" and rows["trial 7"][0].fresh is None
    assert rows["default"][1].gap is None and rows["default"][2].gap == 0
    assert not any(one.is_beyond for each in rows.values() for one in each if one.fresh is None)


def test_report_is_read_where_the_trials_were_judged(fake: FakeStore, scope: Scope) -> None:
    """Whichever band set, weights and partition the report shows first."""
    both = replace(scope, bands=("rgb", "s2_10"), weights=("student", "ema"), partitions=("default", "half"))
    where = {"bands": "s2_10", "weights": "ema", "partition": "half"}
    entries = []
    for row, share in (("default", 0.4), ("trial 7", 0.6)):
        fake.cell(row, [0.9, 0.9], bands="rgb")
        entries.append(fake.cell(row, [share, share], **where))
    made = replace(study(DEFAULT, BEST), judged={"cover": "s2_10"}, weights="ema", partition="half")
    answer = answer_of(fake, both, entries, made)
    one = held(answer)[0]["trial 7"][0]
    assert one.reported is not None and one.reported.value == pytest.approx(0.6)
    assert one.against is not None and one.against.value == pytest.approx(0.2)
    (note,) = [note for note in notes_of(answer) if "Protocol" in note]
    assert note.endswith("Protocol scenes-v1, bands s2_10, ema weights, labels half.")


def test_every_task_is_read_with_the_bands_that_it_was_judged_on(fake: FakeStore, scope: Scope) -> None:
    both = replace(scope, tasks=("cover", "uses"), bands=("rgb", "s2_10"))
    aim = replace(studies.KNN, tasks=("cover", "uses"))
    entries = []
    for row, share in (("default", 0.4), ("trial 7", 0.6)):
        fake.cell(row, [share, share], bands="rgb")
        entries.append(fake.cell(row, [share + 0.1, share + 0.1], task="uses", bands="s2_10"))
    made = replace(study(DEFAULT, BEST, aims=(aim,)), judged={"cover": "rgb", "uses": "s2_10"})
    answer = answer_of(fake, both, entries, made)
    one = held(answer)[0]["trial 7"][0]
    assert one.reported is not None and one.reported.value == pytest.approx(0.65) and one.reason == ""
    assert one.against is not None and one.against.value == pytest.approx(0.2)
    assert any("bands rgb of cover, s2_10 of uses, student weights." in note for note in notes_of(answer))


def test_a_task_without_a_score_leaves_no_mean(fake: FakeStore, scope: Scope) -> None:
    both = replace(scope, tasks=("cover", "uses"))
    entries = [fake.cell("default", [0.5, 0.51]), fake.cell("trial 7", [0.6, 0.6])]
    fake.cell("default", [0.4, 0.41], task="uses")
    answer = answer_of(fake, both, entries, study(DEFAULT, BEST, aims=(replace(studies.KNN, tasks=("cover", "uses")),)))
    one = held(answer)[0]["trial 7"][0]
    assert one.reported is None and one.reason == "uses: not evaluated" and one.against is None
