"""What stands in which cell: best, baselines, references, holes with their reasons, and nothing mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from deo_bench.errors import UserError
from deo_bench.reports.build import build_tables
from deo_bench.reports.cells import Scores
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.frame import read_scores
from deo_bench.reports.table import ABOVE_STUDENTS, ON_EDGE, Cell, Table
from tests.reports.conftest import FakeStore, run_name


@dataclass
class Made:
    """Tables, and what was said while they were made."""

    tables: list[Table]
    finder: Scores

    @property
    def problems(self) -> list[str]:
        return [*self.finder.problems, *self.finder.twins()]


def built(
    fake: FakeStore, entries: Sequence[Entry], scope: Scope, against: str | None = None, sort: str = "plan"
) -> Made:
    finder = Scores(read_scores(fake.root), entries, scope)
    return Made(build_tables(finder, entries, scope, against, sort), finder)


def only(made: Made, label: str, place: int = 0, table: int = 0) -> Cell:
    return next(row for row in made.tables[table].rows if row.label == label).cells[place]


def labels(table: Table) -> list[str]:
    return [row.label for row in table.rows]


def test_the_best_is_marked_where_its_lead_is_resolved(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.30, 0.31, 0.32]), fake.cell("b", [0.70, 0.71, 0.72]), fake.cell("c", [0.2, 0.2, 0.2])]
    made = built(fake, entries, scope)
    assert [only(made, label).is_best for label in "abc"] == [False, True, False]
    estimate = only(made, "b").estimate
    assert estimate is not None
    assert (estimate.value, estimate.seeds) == (pytest.approx(0.71, abs=0.005), 3)
    assert estimate.low < 0.65, "the interval carries the test images too"


def test_nothing_is_marked_where_the_lead_is_not_resolved(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.50, 0.60, 0.40]), fake.cell("b", [0.52, 0.51, 0.53])]
    assert not any(only(built(fake, entries, scope), label).is_best for label in "ab")


def test_a_lone_cell_leads_nobody(fake: FakeStore, scope: Scope) -> None:
    assert not only(built(fake, [fake.cell("a", [0.9, 0.9])], scope), "a").is_best


def test_where_less_is_better_the_smallest_is_best(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.30, 0.31, 0.32], direction="min"), fake.cell("b", [0.7, 0.71, 0.72], direction="min")]
    entries.append(fake.single("trivial", 0.1, direction="min"))
    made = built(fake, entries, scope)
    assert only(made, "a").is_best
    assert ABOVE_STUDENTS in only(made, "trivial").notes


def test_differences_are_to_the_baseline_row(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.5, 0.5, 0.5]), fake.cell("b", [0.6, 0.6, 0.6]), fake.single("trivial", 0.4)]
    made = built(fake, entries, scope, against="a")
    assert only(made, "a").difference is None
    gain, loss = only(made, "b").difference, only(made, "trivial").difference
    assert gain is not None and loss is not None
    assert (gain.value, gain.pairing, gain.excludes_zero) == (pytest.approx(0.1), "paired", True)
    assert (loss.value, loss.pairing, loss.high < 0) == (pytest.approx(-0.1), "one run", True)


def test_untrained_is_whichever_row_is_it(fake: FakeStore, scope: Scope) -> None:
    entries = [replace(fake.cell("optical=none", [0.5, 0.5]), is_untrained=True), fake.cell("b", [0.6, 0.6])]
    made = built(fake, entries, scope, against="untrained")
    assert made.tables[0].against == "optical=none (untrained)"
    assert only(made, "b").difference is not None
    with pytest.raises(UserError, match="baseline row 'untraind' is not there"):
        built(fake, entries, scope, against="untraind")


def test_baselines_above_every_student_are_marked(fake: FakeStore, scope: Scope) -> None:
    entries = [
        fake.cell("a", [0.5, 0.5]),
        fake.single("pixel_bag", 0.6),
        fake.single("image_stats", 0.4),
        fake.single("majority", 0.55, "reference", probe="majority"),
        fake.single("supervised", 0.9, "reference", probe="supervised"),
    ]
    made = built(fake, entries, scope)
    marked = [row.label for row in made.tables[0].rows if ABOVE_STUDENTS in row.cells[0].notes]
    assert marked == ["pixel_bag", "majority"], "a supervised reference may stand above"


def test_references_stand_under_every_probe_and_majority_under_every_band_set(fake: FakeStore, scope: Scope) -> None:
    scope = replace(scope, protocols={"scenes-v1": ("knn5_l2", "linear")}, bands=("s2_10", "rgb"))
    entries = [
        fake.cell("a", [0.5, 0.5]),
        fake.single("majority", 0.3, "reference", probe="majority"),
        fake.single("supervised", 0.9, "reference", probe="supervised"),
    ]
    for seed in (0, 1):
        for probe, bands in (("linear", "s2_10"), ("knn5_l2", "rgb"), ("linear", "rgb")):
            fake.score(run_name("a", seed), share=0.5, probe=probe, bands=bands)
    made = built(fake, entries, scope)
    assert [(table.bands, table.probe) for table in made.tables] == [
        ("s2_10", "knn5_l2"), ("s2_10", "linear"), ("rgb", "knn5_l2"), ("rgb", "linear")
    ]  # fmt: skip
    for table in range(4):
        estimate = only(made, "majority", table=table).estimate
        assert estimate is not None and estimate.value == pytest.approx(0.3)
    shown = [only(made, "supervised", table=table).estimate is not None for table in range(4)]
    assert shown == [True, True, False, False]
    assert only(made, "supervised", table=2).reason == "not evaluated"


def test_band_sets_and_protocols_never_share_a_table(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.5, 0.5]), fake.cell("b", [0.6, 0.6], bands="rgb")]
    entries.append(fake.cell("c", [0.7, 0.7], protocol="custom-01234567"))
    made = built(fake, entries, scope)
    assert only(made, "b").reason == only(made, "c").reason == "not evaluated"
    scope = replace(scope, bands=("s2_10", "rgb"), protocols={**scope.protocols, "custom-01234567": ("knn5_l2",)})
    shown = [[row.label for row in table.rows if row.cells[0].estimate] for table in built(fake, entries, scope).tables]
    assert shown == [["a"], ["b"], ["c"], []]


def test_a_hole_says_why(fake: FakeStore, scope: Scope) -> None:
    a, b = fake.cell("a", [0.5, 0.5]), fake.cell("b", [0.6, 0.6])
    lost = replace(
        b,
        label="lost",
        subjects=[(0, run_name("lost", 0))],
        reasons={run_name("lost", 0): "loss not finite at step 40"},
    )
    partly = replace(
        b, label="partly", subjects=[*b.subjects, (2, run_name("b", 2))], reasons={run_name("b", 2): "stopped"}
    )
    made = built(fake, [a, lost, partly, Entry("none", "cell", [])], scope)
    assert only(made, "lost").reason == "loss not finite at step 40"
    assert only(made, "partly").notes == ("2 of 3 runs (seed 2: stopped)",)
    assert only(made, "none").reason == "not planned"


def test_predictions_that_are_gone_leave_a_hole_and_are_named(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.5]), fake.cell("b", [0.6])]
    next((fake.root / run_name("b", 0) / "scores").glob("*.npz")).unlink()
    made = built(fake, entries, scope)
    assert only(made, "b").reason == "predictions missing or torn"
    assert made.problems[0].startswith(run_name("b", 0)) and "its predictions are missing" in made.problems[0]


def test_other_data_and_other_test_images_do_not_stand_in_the_column(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.5, 0.5]), fake.cell("b", [0.6], task_content="f" * 64), fake.cell("c", [0.7], shift=4)]
    made = built(fake, entries, scope)
    assert "other data" in only(made, "b").reason
    assert only(made, "c").estimate is None
    assert any("test images are not those" in problem for problem in made.problems)


def test_of_two_versions_of_a_score_the_planned_one_counts(fake: FakeStore, scope: Scope) -> None:
    entry = fake.cell("a", [0.5], digest="aaaaaaaa")
    fake.cell("a", [0.7], digest="bbbbbbbb")
    assert "several versions" in only(built(fake, [entry], scope), "a").reason
    estimate = only(built(fake, [entry], replace(scope, digests=frozenset(["bbbbbbbb"]))), "a").estimate
    assert estimate is not None and estimate.value == pytest.approx(0.7)


def test_the_last_weights_stand_in_the_table(fake: FakeStore, scope: Scope) -> None:
    entry = fake.cell("a", [0.5, 0.5])
    fake.cell("a", [0.2, 0.2], step=40)
    late = fake.cell("late", [0.6, 0.6], step=40)
    fake.score(run_name("late", 1), share=0.7, step=80)
    made = built(fake, [entry, late], scope)
    estimate = only(made, "a").estimate
    assert estimate is not None and estimate.value == pytest.approx(0.5), "a score that states no step is of the last"
    assert only(made, "late").notes == ("1 of 2 runs (seed 0: scored at step 40 only)",)


def test_a_row_without_the_weights_wanted_says_whose_stand_there(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("none", [0.5, 0.5]), fake.cell("ema", [0.6, 0.6]), fake.single("trivial", 0.2)]
    fake.cell("ema", [0.7, 0.7], weights="ema")
    made = built(fake, entries, replace(scope, weights=("student", "ema")))
    values = [[row.cells[0].estimate.value for row in table.rows if row.cells[0].estimate] for table in made.tables]
    assert values == [[0.5, pytest.approx(0.6), pytest.approx(0.2)], [0.5, pytest.approx(0.7), pytest.approx(0.2)]]
    assert [row.cells[0].notes for row in made.tables[1].rows][:2] == [("no ema weights: the student's",), ()]


def test_the_same_predictions_under_two_names_are_said(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.5, 0.5]), fake.cell("b", [0.5, 0.5]), fake.cell("c", [0.5, 0.5])]
    source = next((fake.root / run_name("a", 1) / "scores").glob("*.npz"))
    next((fake.root / run_name("b", 1) / "scores").glob("*.npz")).write_bytes(source.read_bytes())
    assert built(fake, entries, scope).problems == ["a and b give the same predictions to the bit (seed 1)"]


def test_sorting_is_by_a_task_within_the_kinds(fake: FakeStore, scope: Scope) -> None:
    entries = [
        fake.cell("low", [0.3, 0.3]),
        fake.single("trivial", 0.9),
        fake.cell("high", [0.6, 0.6]),
        Entry("gone", "cell", []),
    ]
    assert labels(built(fake, entries, scope, sort="cover").tables[0]) == ["high", "low", "gone", "trivial"]
    with pytest.raises(UserError, match="cannot sort by 'covr'.*did you mean 'cover'"):
        built(fake, entries, scope, sort="covr")


def test_a_choice_on_the_edge_is_a_footnote(fake: FakeStore, scope: Scope) -> None:
    assert only(built(fake, [fake.cell("a", [0.5, 0.5], on_edge=True)], scope), "a").notes == (ON_EDGE,)


def test_the_scores_behind_the_tables_have_their_rows_label(fake: FakeStore, scope: Scope) -> None:
    made = built(fake, [fake.cell("a", [0.5, 0.5]), fake.single("trivial", 0.2)], scope)
    fake.cell("other", [0.5])
    assert made.finder.used()[["label", "kind", "value"]].to_numpy().tolist() == [
        ["a", "cell", 0.5], ["a", "cell", 0.5], ["trivial", "baseline", 0.2]
    ]  # fmt: skip


def test_groups_widen_the_interval_and_stand_in_the_heading(fake: FakeStore, scope: Scope) -> None:
    entry = fake.cell("a", [0.5, 0.52, 0.51], groups=np.arange(120) // 10)
    made = built(fake, [entry], scope)
    assert (made.tables[0].columns[0].n, made.tables[0].columns[0].groups) == (120, 12)
    estimate = only(made, "a").estimate
    assert estimate is not None and estimate.high - estimate.low > 0.4


def test_two_rows_of_one_label_are_a_mistake_of_ours(fake: FakeStore, scope: Scope) -> None:
    entry = fake.cell("a", [0.5])
    with pytest.raises(ValueError, match="one label"):
        built(fake, [entry, entry], scope)


def test_a_run_that_two_cells_are_stands_behind_both(fake: FakeStore, scope: Scope) -> None:
    entry = fake.cell("a", [0.5, 0.6])
    used = built(fake, [entry, replace(entry, label="b")], scope).finder.used()
    assert used[["label", "seed"]].to_numpy().tolist() == [["a", 0], ["a", 1], ["b", 0], ["b", 1]]


def test_metrics_are_not_mixed_in_a_column(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.5, 0.6]), fake.cell("b", [0.4, 0.5]), fake.cell("c", [0.4])]
    path = next((fake.root / entries[2].subjects[0][1] / "scores").glob("*.json"))
    path.write_text(path.read_text().replace('"accuracy"', '"micro_f1"'))
    made = built(fake, entries, scope)
    assert made.tables[0].columns[0].metric == "accuracy" and only(made, "a").estimate
    assert only(made, "c").reason == "scored by another metric than the rest of its column"


def test_one_seed_in_common_of_several_claims_nothing(fake: FakeStore, scope: Scope) -> None:
    lucky, half_done = fake.cell("a", [0.9, 0.4, 0.4]), fake.cell("b", [0.5])
    half_done = replace(half_done, subjects=[(seed, run_name("b", seed)) for seed in range(3)])
    cell = only(built(fake, [lucky, half_done], scope, "b"), "a")
    assert cell.difference is not None and cell.difference.seeds == 1
    assert not cell.is_best and not cell.is_resolved, "a is 56.7 +-68.6; its one pair is 40 points apart"
