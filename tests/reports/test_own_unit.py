"""What is no share is shown in its own unit everywhere, and in no mean; shares beside it stay percent."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from deo_bench.cli import comparison
from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.card import _scores
from deo_bench.reports.cells import Column
from deo_bench.reports.compare import compare
from deo_bench.reports.declared import Declared, Expectation
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.figures.dots import dots
from deo_bench.reports.figures.style import styled
from deo_bench.reports.frame import read_scores
from deo_bench.reports.grid import Grid, difference_grid, score_grid
from deo_bench.reports.render_csv import comma_separated
from deo_bench.reports.report import Report, make_report
from deo_bench.reports.sections import effects, summary
from deo_bench.reports.sections import expectations as expected
from deo_bench.reports.short import in_short
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.statistics import Difference, Estimate, Measured, against, difference, together
from deo_bench.reports.wording import difference_text, estimate_text, metric_name, number, scale
from deo_bench.reports.write import render
from tests.reports.conftest import FakeStore

KINDS = {"land": "dense", "moved": "change", "height": "regression"}
SCOPE = Scope(
    tuple(KINDS), {"scenes-v1": ("knn5_l2",)}, ("s2_10",), classes={"land": ("water", "forest", "field")}
)  # fmt: skip


def entries_of(fake: FakeStore, tasks: tuple[str, ...] = tuple(KINDS)) -> list[Entry]:
    """A grid of two factors, each level of which helps."""
    made = []
    for i, j in np.ndindex(2, 2):
        base = 0.4 + 0.15 * i + 0.1 * j
        for task in tasks:
            entry = fake.cell(f"a={i}, b={j}", [base, base + 0.02, base - 0.01], task, kind=KINDS[task])
        made.append(replace(entry, settings={"a.use": str(i), "b.use": str(j)}))
    return made


@pytest.fixture
def answer(fake: FakeStore) -> Answer:
    return make_answer(ReportSpec(baseline="a=0, b=0"), entries_of(fake), SCOPE, fake.root)


@pytest.mark.parametrize(
    ("value", "told"),
    [(2.3456, "2.35"), (0.0123456, "0.0123"), (12.345, "12.3"), (123.45, "123"), (12345.6, "12,346"), (0, "0.0"),
     (-0.5, "-0.500"), (1e-5, "0.0000100")],
)  # fmt: skip
def test_three_digits_count(value: float, told: str) -> None:
    assert number(value, is_share=False) == told


def test_what_stands_together_has_the_same_decimals() -> None:
    assert estimate_text(Estimate(12.345, 12.2, 12.42, 3, 2.0, is_share=False)) == "12.3 ±0.1"
    gain = Difference(-0.5, -1.25, 0.004, 0.1, 2.0, 3, "paired", is_share=False)
    assert difference_text(gain) == "-0.50 [-1.25, 0.00]"
    assert number(-0.0004, True, False, (1.0,)) == "0.00", "no minus zero"
    assert number(0.123) == "12.3" and estimate_text(Estimate(0.5, 0.4, 0.6, 3, 2.0)) == "50.0 ±10.0"


def test_the_unit_goes_with_the_value() -> None:
    draws = np.random.default_rng(0)
    sides = [[Measured(s, 2.0 + s, draws.normal(2, 1, 50), 9, is_share=False) for s in range(3)] for _ in range(2)]
    gain = difference(*sides)
    assert (gain.is_share, gain.factor, against(gain, 0.1).is_share) == (False, 1, False)
    with pytest.raises(ValueError, match="only shares"):
        together(sides)


def test_columns_say_what_they_are_in() -> None:
    rmse, share = (Column("t", "ridge", "p", "rgb", "student", metric) for metric in ("rmse", "miou"))
    assert scale([share, share]) == "percent"
    assert scale([rmse, share]) == "percent (RMSE: in its own unit)"
    assert scale([rmse]) == "RMSE in its own unit"
    assert metric_name(replace(rmse, direction="min")) == "RMSE, less is better"
    assert metric_name(Column("t", "retrieval", "p", "rgb", "student", "mean")) == "retrieval mAP"
    cost = Column("t", "profile_parameters", "p", "rgb", "student", "mean_cost", "min")
    assert metric_name(cost) == "parameters, millions, less is better"


def texts(grid: Grid | None, place: int) -> list[str]:
    assert grid is not None
    return [line.slots[place].text for line in grid.lines]


def test_tables_show_each_column_in_its_unit(answer: Answer) -> None:
    (table,) = answer.tables
    estimates = [row.cells[2].estimate for row in table.rows]
    wanted = [f"{estimate.value:.2f} ±{(estimate.high - estimate.low) / 2:.2f}" for estimate in estimates if estimate]
    assert texts(score_grid(table), 2) == wanted and 1 < float(wanted[0].split()[0]) < 4
    assert [heading.metric for heading in score_grid(table).headings] == [
        "mIoU",
        "F1 of change",
        "RMSE, less is better",
    ]
    assert score_grid(table).caption.startswith("Percent (RMSE: in its own unit) on test images")
    gains = difference_grid(table)
    assert texts(gains, 2)[-1].startswith("-") and "Points (RMSE: in its own unit) against" in gains.caption  # type: ignore[union-attr]
    assert table.rows[-1].cells[2].is_best, "the least error"


def test_the_csv_holds_raw_values(answer: Answer) -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(answer.tables))))
    last = next(row for row in rows if row["label"] == "a=1, b=1" and row["task"] == "height")
    estimate = answer.tables[0].rows[-1].cells[2].estimate
    assert estimate is not None and float(last["value"]) == pytest.approx(estimate.value, rel=1e-8)


def test_figures_show_each_panel_in_its_unit(answer: Answer) -> None:
    with styled():
        panels = dots(answer.tables[0], "scores").axes
        shown = [[float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"] for axes in panels]
    for place, times in ((0, 100), (2, 1)):
        cells = [row.cells[place].estimate for row in answer.tables[0].rows]
        assert shown[place] == pytest.approx([times * cell.value for cell in cells if cell])
    (drawing,) = [each for section in effects.sections(answer) for each in section.drawings]
    panels = drawing.draw.args[0]  # type: ignore[attr-defined]
    assert [panel.is_share for panel in panels] == [True, True, False]
    assert panels[2].text(panels[2].values, (0, 0)) == f"{panels[2].values[0, 0]:.2f}"


def test_the_mean_leaves_out_what_is_no_share_and_ranks_keep_it(answer: Answer) -> None:
    (section,) = summary.sections(answer)
    grid = section.grids[0]
    means = [[row.cells[place].estimate for place in (0, 1)] for row in answer.tables[0].rows]
    told = [float(text.split()[0]) for text in texts(grid, 0)]
    assert told == pytest.approx([50 * sum(cell.value for cell in cells if cell) for cells in means], abs=0.051)
    assert "the mean leaves out what is no share: height (RMSE)" in grid.footnotes
    assert "over 3 tasks" in grid.caption


def test_without_two_shares_there_is_no_mean(fake: FakeStore) -> None:
    entries = entries_of(fake, ("land", "height"))
    answer = make_answer(ReportSpec(), entries, replace(SCOPE, tasks=("land", "height")), fake.root)
    grid = summary.sections(answer)[0].grids[0]
    assert set(texts(grid, 0)) == {"–"} and set(texts(grid, 1)) != {"–"}
    assert any("too few are left" in note for note in grid.footnotes)


def declared(**fields: Any) -> Declared:
    known: dict[str, Any] = {"tasks": ("height",), "protocol": "scenes-v1", "probe": "knn5_l2", "bands": "s2_10"}
    return Declared("a=1, b=1", "a=0, b=0", **(known | fields))


def test_margins_are_in_the_metrics_unit(fake: FakeStore) -> None:
    """The errors differ by about one: a margin of half of it holds, one of two is refuted."""
    made = [declared(by=0.002), declared(by=0.04), declared(within=0.05), declared(tasks=("land", "height"))]
    spec = ReportSpec()
    answer = make_answer(spec, entries_of(fake), SCOPE, fake.root, [Expectation("x", tuple(made))])
    held, refuted, alike, mixed = answer.answered[0].comparisons
    assert held.gain is not None and 0.5 < held.gain.value < 3
    assert [held.verdict, refuted.verdict, alike.verdict] == ["held", "refuted", "held"]
    assert expected.words(held.declared).startswith("a=1, b=1 better than a=0, b=0 by 0.2 in the metric's unit or more")
    assert "alike within 5 in the metric's unit" in expected.words(alike.declared)
    assert mixed.verdict == "not tested" and "no mean over tasks" in mixed.reason
    (section,) = expected.sections(answer)
    assert section.grids[0].headings[0].metric == "points or the metric's unit"


def test_the_answer_in_short_names_the_unit(answer: Answer) -> None:
    told = [sentence for sentence in in_short(answer) if "height" in sentence]
    assert told and "RMSE, less is better" in told[0] and not told[0].endswith("points.")


def test_compare_shows_both_sides_in_the_unit(fake: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    entries = entries_of(fake, ("height",))
    made = compare(read_scores(fake.root), entries[0], entries[3])
    comparison._draw_scores(Console(width=200), made)
    told = capsys.readouterr().out
    (one,) = made.compared
    assert f"{one.a.value:.2f}" in told and "RMSE in its own unit: RMSE, less is better." in told
    assert one.better == "B"


def test_a_card_says_what_is_no_share_in_its_unit(fake: FakeStore) -> None:
    for task in ("land", "height"):
        fake.score("0123456789ab-s0", task, 0.5, kind=KINDS[task])
    frame = read_scores(fake.root)
    table, told = _scores(frame)
    value, low = (frame[frame["task"] == "height"][name].item() for name in ("value", "low"))
    assert f"| RMSE, less is better | {value:.2f} | [{low:.2f}, " in table and "| mIoU | " in table
    assert told.startswith("Percent; what is no share in its own unit. ")
    assert next(told for told in list(_scores(frame[frame["task"] == "land"]))[1:]).startswith("Percent. ")


def test_costs_stand_beside_scores_of_the_same_task(fake: FakeStore) -> None:
    """What was measured five times is of no test images, and the same for all rows without being a useless setting."""
    entries = [fake.cell(label, [0.5, 0.6], kind="single") for label in "ab"]
    for label in "ab":
        fake.cell(label, [0.3, 0.3], kind="cost", probe="profile_gmacs")
        fake.cell(label, [0.2, 0.4], kind="cost", probe="profile_images_per_second", metric="mean_rate")
    scope = Scope(
        ("cover",), {"scenes-v1": ("knn5_l2", "profile_gmacs", "profile_images_per_second")}, ("s2_10",)
    )  # fmt: skip
    answer = make_answer(ReportSpec(), entries, scope, fake.root)
    assert not answer.problems
    grids = [score_grid(table) for table in answer.tables]
    assert [grid.headings[0].metric for grid in grids] == [
        "accuracy",
        "GMACs an image, less is better",
        "images a second",
    ]
    assert texts(grids[1], 0)[0].split()[0] in {"30.1", "30.2", "30.3", "30.4", "30.5", "30.6", "30.7", "30.8"}
    costs = make_answer(ReportSpec(), entries, replace(scope, protocols={"scenes-v1": ("profile_gmacs",)}), fake.root)
    assert not costs.problems


def test_a_whole_report_of_maps_and_numbers_is_drawn(fake: FakeStore) -> None:
    entries = [*entries_of(fake), fake.single("image_stats", 0.3, task="land", of="dense")]
    report: Report = make_report(ReportSpec(baseline="a=0, b=0", published=("all",)), entries, SCOPE, fake.root)
    files = render(report)
    assert {"heat.png", "confusion.png", "segmentation-land.png", "index.html"} <= files.keys()
    assert b"RMSE" in files["table.tex"] and "2.3" in files["table.md"].decode()
    assert Path(fake.root).exists() and not [problem for problem in report.problems if "published" not in problem]
