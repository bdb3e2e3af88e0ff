"""Rows over all tasks, and seeds that would resolve: closed forms by hand, flags, and silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from deo_bench.errors import UserError
from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.grid import HOLE, Grid, Line
from deo_bench.reports.report import make_report
from deo_bench.reports.sections import seeds, summary
from deo_bench.reports.spec import ReportSpec, check_spec
from deo_bench.reports.statistics import seeds_needed
from deo_bench.reports.write import render
from tests.reports.conftest import FakeStore

TASKS = ("cover", "moisture", "uses")
SHARES = {"low": (0.30, 0.40, 0.20), "middle": (0.50, 0.50, 0.60), "high": (0.60, 0.90, 0.525)}


def answer(fake: FakeStore, entries: Sequence[Entry], scope: Scope, **keys: Any) -> Answer:
    return make_answer(ReportSpec(**keys), entries, scope, fake.root)


def cells(fake: FakeStore, shares: dict[str, tuple[float, ...]] = SHARES, runs: int = 3, **fields: Any) -> list[Entry]:
    """Cells with a share a task, the same for every seed."""
    made = []
    for label, of_tasks in shares.items():
        for task, share in zip(TASKS, of_tasks, strict=False):
            entry = fake.cell(label, [share] * runs, task, **fields)
        made.append(entry)
    return made


def wide(scope: Scope, count: int = 3) -> Scope:
    return replace(scope, tasks=TASKS[:count])


def over(fake: FakeStore, entries: Sequence[Entry], scope: Scope, **keys: Any) -> Grid:
    found = summary.sections(answer(fake, entries, scope, **keys))
    assert len(found) == 1 and found[0].shown == "page"
    return found[0].grids[0]


def column(grid: Grid, name: str) -> dict[str, str]:
    place = [heading.task for heading in grid.headings].index(name)
    return {line.label: line.slots[place].text for line in grid.lines}


def notes(grid: Grid, label: str, name: str) -> list[str]:
    place = [heading.task for heading in grid.headings].index(name)
    line: Line = next(line for line in grid.lines if line.label == label)
    return [grid.footnotes[number - 1] for number in line.slots[place].notes]


def test_means_over_tasks_and_who_leads_them(fake: FakeStore, scope: Scope) -> None:
    grid = over(fake, cells(fake), wide(scope))
    assert {label: text.split(" ")[0] for label, text in column(grid, "mean").items()} == {
        "low": "30.0", "middle": "53.3", "high": "67.5",
    }  # fmt: skip
    marks = {line.label: (line.slots[0].is_best, line.slots[0].is_second) for line in grid.lines}
    assert marks == {"low": (False, False), "middle": (False, True), "high": (True, False)}
    assert not any(slot.is_best or slot.is_second for line in grid.lines for slot in line.slots[1:])


def test_average_ranks_and_what_they_may_say(fake: FakeStore, scope: Scope) -> None:
    trivial = [fake.single("trivial", 0.95, task=task) for task in TASKS][-1]
    grid = over(fake, [*cells(fake), trivial], wide(scope))
    # ranks 3 3 3, 2 2 1 and 1 1 2
    ranks = column(grid, "average rank")
    assert (ranks["low"], ranks["middle"], ranks["high"]) == ("3.00", "1.67", "1.33")
    assert ranks["trivial"] == HOLE
    # chi square 4.667: 12 * 3 / 12 * (9 + 25 / 9 + 16 / 9 - 12); F = 2 * 4.667 / (6 - 4.667) = 7, p of F(2, 4)
    assert "Friedman's test p = .049 over 3 tasks" in grid.caption
    assert "closer than 1.91" in grid.caption, "2.343 * sqrt(3 * 4 / 18)"


def test_ranks_that_all_tasks_agree_on_are_no_surer_than_a_permutation(fake: FakeStore, scope: Scope) -> None:
    shares = {"low": (0.1, 0.1, 0.1), "middle": (0.5, 0.5, 0.5), "high": (0.9, 0.9, 0.9)}
    assert "Friedman's test p = .028" in over(fake, cells(fake, shares), wide(scope)).caption, "1 / 3!^2"


def test_where_less_is_better_the_least_has_the_first_rank_and_one(fake: FakeStore, scope: Scope) -> None:
    grid = over(fake, cells(fake, direction="min"), wide(scope), baseline="high")
    assert column(grid, "average rank")["low"] == "1.00"
    assert column(grid, "IQM")["low"] == "1.00"
    assert column(grid, "P(better)")["low"] == "1.00"
    assert next(line for line in grid.lines if line.label == "low").slots[0].is_best


def test_directions_are_not_averaged(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake, {label: shares[:1] for label, shares in SHARES.items()})
    for entry in entries:
        fake.cell(entry.label, [0.5] * 3, "moisture", direction="min")
    grid = over(fake, entries, wide(scope, 2))
    assert set(column(grid, "mean").values()) == {HOLE}
    assert notes(grid, "low", "mean") == ["more is better on some tasks, less on others: no mean"]


def test_inter_quartile_means_of_scores_between_bounds(fake: FakeStore, scope: Scope) -> None:
    grid = over(fake, cells(fake), wide(scope))
    # middle: 2/3, .2 and 1 on the tasks, three times each; two of nine go on either side: (.2 + 3 * 2/3 + 1) / 5
    assert column(grid, "IQM") == {"low": "0.00", "middle": "0.64", "high": "0.96"}
    bounds = {"cover": [0.0, 1.0], "moisture": [0.0, 1.0], "uses": [0.0, 1.0]}
    grid = over(fake, cells(fake), wide(scope), bounds=bounds)
    # .5, .5 and .6: (4 * .5 + .6) / 5
    assert column(grid, "IQM")["middle"] == "0.52"
    assert "the bounds that the report gives" in grid.caption


def test_observed_bounds_are_of_cells_and_baselines_not_of_references(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake)
    for label, share, kind in (("base", 1.0, "baseline"), ("majority", 0.0, "reference")):
        probe = "majority" if kind == "reference" else "knn5_l2"
        entries.append([fake.single(label, share, kind, task, probe=probe) for task in TASKS][-1])
    means = column(over(fake, entries, wide(scope)), "IQM")
    assert (means["low"], means["base"], means["majority"][0]) == ("0.00", "1.00", "-")


def test_few_seeds_are_flagged(fake: FakeStore, scope: Scope) -> None:
    told = {1: "one run: no interval over seeds", 3: "fewer than 4 seeds a task", 4: ""}
    for runs, words in told.items():
        grid = over(fake, cells(fake, runs=runs), wide(scope))
        found = notes(grid, "middle", "IQM")
        assert found[0].startswith(words) if words else not found, runs
    plain = "so few scores that none is trimmed: a plain mean"
    assert plain in notes(over(fake, cells(fake, runs=1), wide(scope)), "low", "IQM")


def test_the_probability_of_improvement_is_over_pairs_of_runs(fake: FakeStore, scope: Scope) -> None:
    base = [fake.cell("base", [0.40, 0.50, 0.60], task) for task in TASKS[:2]][-1]
    other = fake.cell("other", [0.50, 0.55, 0.70], "cover")  # above: 1.5 + 2 + 3 of 9
    fake.cell("other", [0.30, 0.35, 0.45], "moisture")  # 0 + 0 + 1 of 9
    grid = over(fake, [base, other], wide(scope, 2), baseline="base")
    assert column(grid, "P(better)")["other"].startswith("0.42 ["), "(6.5 / 9 + 1 / 9) / 2"
    assert column(grid, "P(better)")["base"] == HOLE
    assert "P(better)" not in [h.task for h in over(fake, [base, other], wide(scope, 2)).headings]


def test_a_row_that_lacks_a_task_has_holes_that_say_which(fake: FakeStore, scope: Scope) -> None:
    entries = [*cells(fake), fake.cell("short", [0.9] * 3)]
    grid = over(fake, entries, wide(scope), baseline="low")
    line = next(line for line in grid.lines if line.label == "short")
    assert {slot.text for slot in line.slots} == {HOLE}
    assert notes(grid, "short", "mean") == ["no score on moisture, uses"]
    assert column(grid, "average rank")["high"] == "1.33", "the others' ranks are without it"


def test_a_task_that_no_cell_is_scored_on_does_not_count(fake: FakeStore, scope: Scope) -> None:
    grid = over(fake, cells(fake), replace(scope, tasks=(*TASKS, "later")))
    assert grid.caption.startswith("Over 3 tasks (cover, moisture, uses)")


def test_nothing_is_said_of_one_task_or_one_row(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake)
    assert not summary.sections(answer(fake, entries, scope))
    assert not summary.sections(answer(fake, entries[:1], wide(scope)))


def test_a_diagram_needs_three_rows_and_three_tasks(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake)

    def drawings(rows: int, tasks: int) -> list[str]:
        found = summary.sections(answer(fake, entries[:rows], wide(scope, tasks)))
        return [drawing.name for drawing in found[0].drawings]

    assert [drawings(3, 3), drawings(2, 3), drawings(3, 2)] == [["ranks"], [], []]


def test_columns_that_differ_in_more_than_the_task_have_a_table_each(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake)
    cells(fake, {label: shares[::-1] for label, shares in SHARES.items()}, bands="rgb")
    asked = replace(wide(scope), bands=("s2_10", "rgb"))
    found = summary.sections(answer(fake, entries, asked, columns=("bands", "task")))
    assert [grid.title.split(", ")[2] for grid in found[0].grids] == ["bands s2_10", "bands rgb"]
    assert [drawing.name for drawing in found[0].drawings] == ["ranks-s2_10", "ranks-rgb"]


def test_bounds_are_checked(scope: Scope) -> None:
    with pytest.raises(UserError, match="bounds: the experiment has no task 'covr'.*did you mean 'cover'"):
        ReportSpec(bounds={"covr": (0, 1)}).narrow(scope)
    with pytest.raises(UserError, match="bounds.*of cover have to ascend"):
        check_spec({"bounds": {"cover": [0.9, 0.1]}}, "reports/x.toml")


def test_seeds_needed_are_those_of_the_corrected_level(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("base", [0.5] * 4), fake.cell("near", [0.45, 0.60, 0.52, 0.60]), fake.cell("far", [0.9] * 4)]
    made = answer(fake, entries, scope, baseline="base")
    found = seeds.sections(made)
    grid = found[0].grids[0]
    gain = made.main[0].rows[1].cells[0].difference
    assert gain is not None and found[0].shown == "page"
    needed = seeds_needed(gain, 0.05 / 2)
    expected = str(needed.seeds) if needed.seeds else f"images × {needed.images_factor:.1f}"
    assert [line.label for line in grid.lines] == ["near", "far"]
    assert [line.slots[0].text for line in grid.lines][1] == "resolved"
    assert grid.lines[0].slots[0].text[:9] == expected[:9]


@pytest.mark.parametrize(
    ("seeds_", "factor", "told"), [(12, None, "12"), (None, 3.01, "images × 3.1"), (None, 1830.2, "images × 1,831")]
)
def test_seeds_and_images_are_rounded_up(seeds_: int | None, factor: float | None, told: str) -> None:
    assert seeds._needed(seeds.Needed(seeds_, factor)) == told


def test_no_seeds_are_asked_for_where_all_is_resolved_or_too_much_is_compared(
    fake: FakeStore, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [fake.cell("base", [0.5] * 3), fake.cell("far", [0.9] * 3)]
    assert not seeds.sections(answer(fake, entries, scope, baseline="base"))
    assert not seeds.sections(answer(fake, entries, scope))
    monkeypatch.setattr(seeds, "MOST_COMPARISONS", 0)
    assert "of 1 comparisons" in seeds.sections(answer(fake, entries, scope, baseline="base"))[0].notes[0]


def test_the_whole_report_is_the_same_every_time(fake: FakeStore, scope: Scope) -> None:
    entries = [
        replace(e, settings={"m.a": i // 2, "m.b": i % 2})
        for i, e in enumerate(cells(fake, {**SHARES, "top": (0.7, 0.6, 0.9)}))
    ]
    first, second = (
        render(make_report(ReportSpec(baseline="low", formats=("markdown", "svg")), entries, wide(scope), fake.root))
        for _ in range(2)
    )
    assert first == second
    assert {"heat.svg", "ranks.svg"} <= first.keys()
    assert all(words in first["table.md"].decode() for words in ("Effects of the factors", "Over all tasks"))


def test_a_mean_of_fewer_seeds_than_were_run_says_so(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.6, 0.65, 0.7], "cover"), fake.cell("b", [0.3, 0.35, 0.4], "cover")]
    fake.cell("a", [0.6], "moisture")
    fake.cell("b", [0.3, 0.35, 0.4], "moisture")
    grid = over(fake, entries, wide(scope, 2))
    assert notes(grid, "a", "mean") == ["1 of 3 seeds have scores on every task"] and notes(grid, "b", "mean") == []


def test_no_seeds_resolve_what_shows_no_spread(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [1.0, 1.0, 1.0], size=8), fake.cell("b", [0.0, 0.0, 0.0], size=8)]
    [section] = seeds.sections(answer(fake, entries, scope, baseline="b"))
    assert section.grids[0].lines[0].slots[0].text == HOLE
    assert "neither seeds nor test images show any spread" in section.grids[0].footnotes
