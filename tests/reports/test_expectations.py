"""Verdicts on declared comparisons of known truth, what the record says of them, and how a report tells it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.reports.declared import Declared, Expectation, read_records, row_key
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.expectations import (
    NO_SEEDS,
    NO_SPREAD,
    ONE_SEED,
    Answered,
    Judged,
    Verdict,
    compared,
    decide,
)
from deo_bench.reports.render_terminal import terminal
from deo_bench.reports.report import Report, make_report
from deo_bench.reports.sections.expectations import summary, words
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.statistics import Measured
from deo_bench.reports.write import render
from tests.reports.conftest import FakeStore, run_name

BETTER = Declared("a", "b", ("cover",), "scenes-v1", "knn5_l2", "s2_10", digest="0" * 12)
IMAGES = np.random.default_rng(0).normal(0, 0.002, 1000)
NOISE = np.random.default_rng(7).normal(size=8)
NOISE = 0.01 * (NOISE - NOISE.mean()) / NOISE.std(ddof=1)


def side(mean: float, seeds: range = range(8), spread: float = 1.0, **fields: Any) -> list[Measured]:
    """Runs about a mean, one percent apart, on test images that all of them share."""
    values = [mean + spread * NOISE[seed] for seed in seeds]
    own = [np.random.default_rng(seed).normal(0, 0.002, 1000) for seed in seeds]
    return [
        Measured(seed, value, value + IMAGES + noise, 500, **fields)
        for seed, value, noise in zip(seeds, values, own, strict=True)
    ]


def verdict(one: Declared, ours: list[Measured], theirs: list[Measured]) -> Judged:
    return decide([compared(one, ours, theirs)])[0]


@pytest.mark.parametrize(
    ("gap", "by", "expected"),
    [
        (0.05, 0.0, "held"),
        (-0.05, 0.0, "refuted"),
        (0.0005, 0.0, "undecided"),
        (0.05, 0.03, "held"),
        (0.02, 0.05, "refuted"),
        (0.02, 0.0195, "undecided"),
        (0.0, -0.05, "held"),
        (-0.02, -0.05, "held"),
        (-0.05, -0.02, "refuted"),
    ],
)
def test_better_is_held_or_refuted_by_its_margin(gap: float, by: float, expected: Verdict) -> None:
    made = verdict(replace(BETTER, by=by), side(0.6 + gap, spread=0.5), side(0.6))
    assert made.verdict == expected
    assert made.gain is not None and made.gain.value == pytest.approx(gap, abs=1e-9)


@pytest.mark.parametrize(
    ("gap", "within", "expected"),
    [
        (0.0, 0.02, "held"),
        (0.05, 0.02, "refuted"),
        (-0.05, 0.02, "refuted"),
        (0.021, 0.02, "undecided"),
        (-0.019, 0.02, "undecided"),
    ],
)
def test_alike_takes_two_tests_and_is_refuted_beyond_the_margin(gap: float, within: float, expected: Verdict) -> None:
    one = replace(BETTER, within=within)
    assert verdict(one, side(0.6 + gap, spread=0.5), side(0.6)).verdict == expected
    assert verdict(one, side(0.6), side(0.6 + gap, spread=0.5)).verdict == expected


def test_what_would_decide_is_told_of_the_undecided_alone_and_more_where_more_is_compared() -> None:
    alone = verdict(BETTER, side(0.602, spread=0.3), side(0.6))
    assert alone.verdict == "undecided" and alone.needed is not None and alone.needed.seeds is not None
    assert alone.needed.seeds > len(alone.seeds) == 8
    among = decide([compared(BETTER, side(0.602, spread=0.3), side(0.6))] + [Judged(BETTER)] * 9)[0]
    assert among.needed is not None and among.needed.seeds is not None and among.needed.seeds > alone.needed.seeds
    assert verdict(BETTER, side(0.65), side(0.6)).needed is None


def test_seeds_that_would_decide_do_in_simulation() -> None:
    """Four times in five, with the observed difference and spread as the true ones, for both forms."""
    draws = np.random.default_rng(3)
    for one, gap in ((BETTER, 0.006), (replace(BETTER, within=0.02), 0.014)):
        ours, theirs = side(0.6 + gap, spread=0.0), side(0.6)
        needed = verdict(one, ours, theirs).needed
        assert needed is not None and needed.seeds is not None and needed.seeds > 8
        gain = np.array([a.value - b.value for a, b in zip(ours, theirs, strict=True)])
        decided = 0
        for _ in range(150):
            values = draws.normal(gain.mean(), gain.std(ddof=1), needed.seeds)
            flat = np.zeros(1000)
            a = [Measured(seed, 0.6 + value, flat, 500) for seed, value in enumerate(values)]
            b = [Measured(seed, 0.6, flat, 500) for seed in range(needed.seeds)]
            p = compared(one, a, b).p
            decided += p is not None and p < 0.05
        assert 0.7 < decided / 150 < 0.97, one


def test_the_family_is_corrected_over_all_that_was_declared_tested_or_not() -> None:
    ours, theirs = side(0.61, spread=0.3), side(0.6)
    alone = verdict(BETTER, ours, theirs)
    assert alone.verdict == "held" and alone.p is not None and 0.05 / 40 < alone.p < 0.05
    among = decide([compared(BETTER, ours, theirs), *[Judged(BETTER, reason="not evaluated")] * 39])
    assert among[0].verdict == "undecided"
    assert among[0].corrected == pytest.approx(40 * alone.p)
    assert {one.verdict for one in among[1:]} == {"not tested"}


def test_runs_are_paired_by_seed() -> None:
    """A shared spread of ten points hides a difference of one unless it is taken run by run."""
    theirs = side(0.6, spread=10.0)
    ours = [replace(one, value=one.value + 0.01, replicates=one.replicates + 0.01) for one in theirs]
    ours = [replace(one, value=one.value + 0.002 * (-1) ** one.seed) for one in ours if one.seed is not None]
    assert verdict(BETTER, ours, theirs).verdict == "held"
    apart = [replace(one, seed=100 + (one.seed or 0)) for one in theirs]
    assert verdict(BETTER, ours, apart).verdict == "undecided"


def test_one_seed_decides_nothing_and_neither_does_a_difference_without_spread() -> None:
    one = verdict(BETTER, side(0.9, range(1)), side(0.5, range(1)))
    assert (one.verdict, one.reason, one.p) == ("undecided", ONE_SEED, None)
    assert verdict(BETTER, side(0.9, range(1)), side(0.5, range(4, 8))).reason == ONE_SEED
    flat = [replace(each, value=0.5, replicates=np.full(1000, 0.5)) for each in side(0.5)]
    above = [replace(each, value=0.6, replicates=np.full(1000, 0.6)) for each in flat]
    assert verdict(BETTER, above, flat).reason == NO_SPREAD
    for claim in (replace(BETTER, within=0.01), replace(BETTER, by=-0.01), replace(BETTER, by=0.01)):
        assert verdict(claim, flat, flat).reason == NO_SPREAD, "every answer right on few images: no proof of likeness"
    assert verdict(replace(BETTER, within=0.01), side(0.5), side(0.5)).verdict == "held", "the same predictions"


def test_two_baselines_are_compared_on_test_images_and_have_no_seeds_to_add() -> None:
    a, b, c = ([replace(side(mean, range(i, i + 1))[0], seed=None)] for i, mean in enumerate((0.9, 0.5, 0.5)))
    assert verdict(BETTER, a, b).verdict == "held"
    near = verdict(BETTER, [replace(c[0], value=b[0].value + 1e-4)], b)
    assert (near.verdict, near.reason) == ("undecided", NO_SEEDS)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["held", "held"], "held"),
        (["held", "refuted", "not tested"], "refuted"),
        (["held", "undecided"], "undecided"),
        (["held", "not tested"], "undecided"),
        (["not tested"], "not tested"),
    ],
)
def test_an_expectation_is_held_by_all_and_refuted_by_any(verdicts: list[Verdict], expected: Verdict) -> None:
    assert Answered(Expectation("", ()), tuple(Judged(BETTER, one) for one in verdicts)).verdict == expected


# ------------------------------------------------------------------------------------------- with a store behind them

LABELS = {"a": [0.8, 0.82, 0.81, 0.79], "b": [0.5, 0.53, 0.5, 0.52]}


def store_record(store: Path, *made: dict[str, Any], words: str = "a better than b", experiment: str = "tiny") -> Path:
    path = store / "expected" / "0123456789ab.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"digest": path.stem, "words": words, "experiment": experiment, "comparisons": list(made)}
    path.write_text(json.dumps(record))
    return path


def on_record(digest: str = "0" * 12, differences: int = 0, scores: int = 0, **fields: Any) -> dict[str, Any]:
    given = {"digest": digest, "differences_there": differences, "scores_there": scores, "scores": 8}
    return {**given, "seeds": [0, 1, 2, 3], "rows": [], "tasks": ["cover"], **fields}


def entries_of(fake: FakeStore, **fields: Any) -> list[Entry]:
    return [fake.cell(label, shares, **fields) for label, shares in LABELS.items()]


def report_of(fake: FakeStore, entries: list[Entry], *declared: Declared, why: str = "") -> Report:
    tasks = list(dict.fromkeys(task for one in declared for task in one.tasks)) or ["cover"]
    scope = Scope(tasks, {"scenes-v1": ("knn5_l2",)}, ("s2_10",), experiment="tiny")
    expected = [Expectation("a better than b", declared, why)] if declared else []
    return make_report(ReportSpec(formats=("markdown", "csv", "html", "latex")), entries, scope, fake.root, expected)


def lines_of(report: Report) -> list[tuple[str, ...]]:
    section = next(each for each in report.sections if each.title == "What was expected")
    return [(line.label, *(slot.text for slot in line.slots)) for line in section.grids[0].lines]


def notes_of(report: Report) -> str:
    return "\n".join(note for each in report.sections for grid in each.grids for note in grid.footnotes)


def test_a_report_says_what_came_of_it_in_every_format(fake: FakeStore) -> None:
    store_record(fake.root, on_record())
    report = report_of(fake, entries_of(fake), BETTER, why="a paper says & so")
    label, gain, said = lines_of(report)[0]
    assert label == "a better than b on cover" and gain.startswith("+29.") and said.startswith("held, ")
    assert summary(report.answer.answered) == "1 held, 0 refuted, 0 undecided"
    files = {name: content.decode() for name, content in render(report).items()}
    for name, why in (
        ("table.md", "a paper says"), ("index.html", "a paper says &amp; so"), ("table.tex", r"a paper says \& so")
    ):  # fmt: skip
        assert "a better than b on cover" in files[name] and why in files[name], name
    record = next(csv.DictReader(io.StringIO(files["expectations.csv"])))
    assert (record["verdict"], record["declared"], record["scores_there"]) == ("held", "before", "0")
    assert float(record["gain"]) == pytest.approx(0.2925, abs=0.01) and float(record["p_holm"]) < 0.05
    assert "expectations.csv" not in render(report_of(fake, entries_of(fake)))


def test_the_terminal_shows_it_without_being_asked(fake: FakeStore) -> None:
    from rich.console import Console

    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal(report_of(fake, entries_of(fake), BETTER), width=100))
    assert "What was expected: 0 held, 0 refuted, 0 undecided; 1 not counted" in console.export_text()


def test_what_was_declared_late_or_is_not_on_record_is_tested_and_not_counted(fake: FakeStore) -> None:
    entries = entries_of(fake)
    report = report_of(fake, entries, BETTER)
    assert lines_of(report)[0][2].startswith("held") and "not on record" in notes_of(report)
    store_record(fake.root, on_record(differences=1, scores=8))
    report = report_of(fake, entries, BETTER)
    assert lines_of(report)[0][2].startswith("held") and "declared late: 8 of 8 scores" in notes_of(report)
    assert summary(report.answer.answered).startswith("0 held") and "1 not counted" in summary(report.answer.answered)
    several = report_of(fake, entries, BETTER, replace(BETTER, by=0.01))
    (grid,) = (grid for each in several.sections for grid in each.grids if grid.name == "expectations")
    assert grid.blocks[0][0] == "expectation 1: held, not counted"
    store_record(fake.root, on_record(scores=3))
    report = report_of(fake, entries, BETTER)
    assert "3 of 8 scores were there, all of one side" in notes_of(report)
    assert summary(report.answer.answered) == "1 held, 0 refuted, 0 undecided"


def test_what_is_declared_late_undoes_nothing_that_was_declared_in_time(fake: FakeStore) -> None:
    early, late = replace(BETTER, digest="0" * 12), replace(BETTER, ours="b", theirs="a", digest="1" * 12)
    store_record(fake.root, on_record(), on_record("1" * 12, differences=1, scores=8))
    (alone,) = report_of(fake, entries_of(fake), early).answer.answered[0].comparisons
    first, second = report_of(fake, entries_of(fake), early, late).answer.answered[0].comparisons
    assert first == alone and first.corrected == first.p
    assert second.standing == "late" and second.corrected == pytest.approx(2 * second.p)


def test_seeds_that_were_added_afterwards_are_told(fake: FakeStore) -> None:
    store_record(fake.root, on_record(seeds=[0, 1]))
    assert "seeds added since it was declared: 2, 3" in notes_of(report_of(fake, entries_of(fake), BETTER))


def test_what_is_missing_or_left_out_is_not_tested_and_why(fake: FakeStore) -> None:
    entries = entries_of(fake)
    entries[1] = replace(entries[1], subjects=[(0, run_name("gone", 0))], reasons={run_name("gone", 0): "failed: nan"})
    left_out = replace(BETTER, theirs="c", digest="", left_out="c is left out")
    report = report_of(fake, entries, BETTER, left_out)
    assert [line[2] for line in lines_of(report)] == ["not tested", "not tested"]
    assert "b on cover: failed: nan" in notes_of(report) and "left out: c is left out" in notes_of(report)


def test_where_less_is_better_better_is_less(fake: FakeStore) -> None:
    report = report_of(fake, entries_of(fake, direction="min"), BETTER)
    _, gain, said = lines_of(report)[0]
    assert gain.startswith("-29.") and said.startswith("refuted")
    assert lines_of(report_of(fake, entries_of(fake, direction="min"), replace(BETTER, by=-0.5)))[0][2][:4] == "held"


def test_together_is_one_comparison_of_the_means(fake: FakeStore) -> None:
    entries = entries_of(fake)
    entries_of(fake, task="moisture", direction="min")
    both = replace(BETTER, tasks=("cover", "moisture"))
    label, gain, *_ = lines_of(report_of(fake, entries, both))[0]
    assert label == "a better than b on the mean of cover, moisture"
    # As much better on one as worse on the other.
    assert gain.startswith(("+0.", "-0.", "0.0"))


def test_torn_and_foreign_records_are_named_and_not_used(fake: FakeStore) -> None:
    entries = entries_of(fake)
    path = store_record(fake.root, on_record())
    whole = path.read_text()
    for torn in (
        whole[: len(whole) // 2],
        "[]",
        "{}",
        '{"comparisons": 3}',
        whole.replace('"scores": 8', '"scores": -8'),
        whole.replace('"rows"', '"lines"'),
        whole.replace('"rows": []', '"rows": [[1]]'),
        whole.replace('"rows": []', '"rows": 3'),
        whole.replace('"tasks"', '"works"'),
        whole.replace('"seeds": [0', '"seeds": [Infinity'),
    ):
        path.write_text(torn)
        report = report_of(fake, entries, BETTER)
        assert any(problem.startswith("expected/0123456789ab.json: not used") for problem in report.problems), torn
        assert "not on record" in notes_of(report)
    path.write_text(whole)
    path.rename(path.with_name("ba9876543210.json"))
    assert len(read_records(fake.root).problems) == 1


def test_what_is_on_record_and_no_longer_declared_is_told(fake: FakeStore) -> None:
    entries = entries_of(fake)
    rows = [row_key(run_name(label, 0)) for label in ("a", "b")]
    store_record(fake.root, on_record(digest="f" * 12, rows=rows), words="b better than a")
    assert any(
        "no longer declared, though on record: b better than a" in line for line in report_of(fake, entries).problems
    )
    scored = {"protocol": "tgb-v0.4", "probe": "knn5_l2", "bands": "rgb", "weights": "student", "partition": "default"}
    record = on_record(digest="f" * 12, rows=rows, by=0.0, within=None, **scored)
    store_record(fake.root, record, words="a better than b")
    told = "on record under tgb-v0.4, on bands rgb, now declared under scenes-v1, on bands s2_10: a better than b ("
    assert any(line.startswith(told) for line in report_of(fake, entries, BETTER).problems)
    store_record(fake.root, {**record, "by": 0.01}, words="a better than b")
    assert any("no longer declared" in line for line in report_of(fake, entries, BETTER).problems)
    for other in ({"rows": ["0" * 12, rows[1]]}, {"rows": rows, "tasks": ["another"]}):
        store_record(fake.root, on_record(digest="f" * 12, **other), words="b better than a")
        assert not report_of(fake, entries).problems
    store_record(fake.root, on_record(digest="f" * 12, rows=rows), experiment="another")
    assert not report_of(fake, entries).problems


def test_the_least_that_was_known_counts_where_several_have_declared_it(fake: FakeStore) -> None:
    first = store_record(fake.root, on_record(differences=1, scores=8))
    first.rename(first.with_name("ffffffffffff.json")).write_text(
        json.dumps({"digest": "ffffffffffff", "words": "", "comparisons": [on_record()]})
    )
    store_record(fake.root, on_record(differences=1, scores=8))
    assert read_records(fake.root).known["0" * 12].differences == 0


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("0123456789ab-s12", "0123456789ab"),
        ("backbones/0123456789ab-s3+random-abcdef012345", "backbones/0123456789ab+random-abcdef012345"),
        ("backbones/image_stats-ce884b0b8fa9", "backbones/image_stats-ce884b0b8fa9"),
    ],
)
def test_a_row_is_the_same_whatever_its_seed(subject: str, key: str) -> None:
    assert row_key(subject) == key


def test_claims_are_worded() -> None:
    assert words(replace(BETTER, by=0.01)) == "a better than b by 1 point or more on cover"
    assert words(replace(BETTER, by=-0.005)) == "a not worse than b by more than 0.5 points on cover"
    assert words(replace(BETTER, within=0.02), ["bands"]) == "a and b alike within 2 points on cover, s2_10"


def test_the_seeds_of_a_comparison_are_those_that_both_sides_have(fake: FakeStore) -> None:
    entries = [fake.cell("a", [0.7, 0.71, 0.72], seeds=[0, 1, 2]), fake.cell("b", [0.5, 0.51, 0.52], seeds=[1, 2, 3])]
    [row] = csv.DictReader(io.StringIO(render(report_of(fake, entries, BETTER))["expectations.csv"].decode()))
    assert (row["seeds"], row["pairing"]) == ("2", "paired")
