"""What a report file may ask of its tables: which rows, what side by side, blocks of rows, another metric."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deo_bench.errors import UserError
from deo_bench.probes.metrics import measure
from deo_bench.reports.entries import Entry, Scope, Seen
from deo_bench.reports.grid import difference_grid, score_grid
from deo_bench.reports.predictions import read_predictions
from deo_bench.reports.render_csv import comma_separated
from deo_bench.reports.report import Report, make_report
from deo_bench.reports.spec import ReportSpec, check_spec
from deo_bench.reports.table import Table
from deo_bench.reports.wording import difference_caption
from tests.reports.conftest import FakeStore, run_name

PATHS = ("teachers.optical.use", "objective.optical.weight")


def cells(fake: FakeStore, **fields: Any) -> list[Entry]:
    """Four cells of a grid of two factors, better and better."""
    made = []
    for share, (teacher, weight) in enumerate([("none", 1), ("none", 2), ("clip", 1), ("clip", 2)]):
        label, value = f"optical={teacher}, weight={weight}", 0.3 + 0.1 * share
        entry = fake.cell(label, [value, value + 0.01, value - 0.01], **fields)
        made.append(replace(entry, settings=dict(zip(PATHS, (teacher, weight), strict=True))))
    return made


def reported(fake: FakeStore, entries: list[Entry], scope: Scope, **asked: Any) -> Report:
    return make_report(ReportSpec(**asked), entries, scope, fake.root)


def labels(table: Table) -> list[str]:
    return [row.label for row in table.rows]


def test_rows_are_those_asked_for_in_that_order(fake: FakeStore, scope: Scope) -> None:
    entries = [*cells(fake), fake.single("pixel_bag", 0.2)]
    (table,) = reported(fake, entries, scope, rows=["pixel_bag", "*weight=2", "optical=clip*"]).answer.tables
    assert labels(table) == [
        "pixel_bag",
        "optical=none, weight=2",
        "optical=clip, weight=2",
        "optical=clip, weight=1",
    ]
    with pytest.raises(UserError, match=r"rows: no row is called 'pixel_bog', did you mean 'pixel_bag'"):
        reported(fake, entries, scope, rows=["pixel_bog"])


def test_differences_are_to_a_baseline_row_that_is_not_shown_and_hiding_rows_makes_nothing_more_certain(
    fake: FakeStore, scope: Scope
) -> None:
    entries, base = cells(fake), "optical=none, weight=1"
    whole = reported(fake, entries, scope, baseline=base).answer.tables[0].rows[3].cells[0]
    (table,) = reported(fake, entries, scope, baseline=base, rows=["optical=clip, weight=2"]).answer.tables
    cell = table.rows[0].cells[0]
    assert whole.difference == cell.difference is not None
    assert cell.corrected == whole.corrected == pytest.approx(3 * cell.difference.p)
    assert "over the 3 comparisons" in difference_caption(table)


def test_band_sets_stand_side_by_side_in_columns_of_their_own(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake)
    for entry in entries:
        for seed, subject in entry.subjects:
            fake.score(subject, "cover", 0.6 + 0.01 * (seed or 0), bands="rgb")
    fake.score(run_name(entries[0].label, 0), "uses", 0.5)
    scope = replace(scope, bands=("s2_10", "rgb"), tasks=("cover", "uses"))
    (table,) = reported(fake, entries, scope, columns=["task", "bands"], baseline=entries[0].label).answer.tables
    assert [(c.task, c.bands) for c in table.columns] == [
        ("cover", "s2_10"), ("cover", "rgb"), ("uses", "s2_10"), ("uses", "rgb")
    ]  # fmt: skip
    assert [heading.lines[:2] for heading in score_grid(table).headings[:2]] == [["cover", "s2_10"], ["cover", "rgb"]]
    values = [cell.estimate.value for cell in table.rows[0].cells[:2] if cell.estimate]
    assert values == [pytest.approx(0.3, abs=0.01), pytest.approx(0.61, abs=0.01)]
    corrected = [cell.corrected for row in table.rows for cell in row.cells if cell.corrected is not None]
    assert len(corrected) == 6, "the family is the whole table"
    turned = reported(fake, entries, scope, columns=["bands"]).answer.tables
    assert [[(c.task, c.bands) for c in each.columns] for each in turned] == [
        [("cover", "s2_10"), ("cover", "rgb")], [("uses", "s2_10"), ("uses", "rgb")]
    ]  # fmt: skip
    said = list(csv.DictReader(io.StringIO(comma_separated([table]))))
    assert [row["bands"] for row in said[:4]] == ["s2_10", "rgb", "s2_10", "rgb"]


def test_protocols_never_share_a_table_whatever_is_asked_for(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake)
    cells(fake, protocol="custom-01234567")
    scope = replace(scope, protocols={"scenes-v1": ("knn5_l2",), "custom-01234567": ("knn5_l2",)})
    every = ["task", "bands", "probe", "weights", "partition", "step"]
    tables = reported(fake, entries, scope, columns=every).answer.tables
    assert [{column.protocol for column in table.columns} for table in tables] == [{"scenes-v1"}, {"custom-01234567"}]
    with pytest.raises(UserError, match=r"r\.toml: columns\.0: has to be 'task', .*got 'protocol'"):
        check_spec({"columns": ["protocol"]}, "r.toml")


def test_partitions_and_steps_only_where_they_are_asked_for(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.5, 0.51]), replace(fake.single("pixel_bag", 0.2))]
    fake.cell("a", [0.3, 0.31], step=40)
    fake.cell("a", [0.2, 0.21], partition="0.01x_train")
    scope = replace(scope, partitions=("default", "0.01x_train"), steps=(40, None))
    (plain,) = reported(fake, entries, scope).answer.tables
    assert (plain.partition, plain.step, len(plain.columns)) == ("default", "last", 1)
    (steps,) = reported(fake, entries, scope, columns=["task", "step"]).answer.tables
    assert [heading.where for heading in score_grid(steps).headings] == ["step 40", "last step"]
    assert [[round(cell.estimate.value, 2) for cell in row.cells if cell.estimate] for row in steps.rows] == [
        [0.3, 0.5], [0.2, 0.2]
    ], "what does not train here has one score for every step"  # fmt: skip
    one, other = reported(fake, entries, scope, partitions=["0.01x_train", "default"]).answer.tables
    assert (one.partition, other.partition) == ("0.01x_train", "default")
    assert one.rows[0].cells[0].estimate is not None and one.rows[0].cells[0].estimate.value < 0.25
    assert "partition 0.01x_train" in score_grid(one).caption and "partition" not in score_grid(other).caption
    with pytest.raises(UserError, match="asks for step '50', which the experiment lacks; there are: 40, last"):
        reported(fake, entries, scope, steps=[50])
    with pytest.raises(UserError, match=r"steps\.0: has to be a step, a whole number above zero, or 'last', got 1.5"):
        check_spec({"steps": [1.5]}, "r.toml")


def test_weights_of_a_step_that_the_plan_asks_for_are_not_taken_for_the_last(fake: FakeStore, scope: Scope) -> None:
    entry, late = fake.cell("a", [0.5, 0.51], digest="1" * 8), fake.cell("b", [0.3, 0.31], step=40, digest="2" * 8)
    planned = replace(scope, digests=frozenset(["1" * 8, "2" * 8]), steps=(40, None))
    (table,) = reported(fake, [entry, late], planned).answer.tables
    assert table.rows[0].cells[0].estimate is not None and table.rows[1].cells[0].reason == "not evaluated"
    (steps,) = reported(fake, [entry, late], planned, steps=[40]).answer.tables
    assert [cell.reason for row in steps.rows for cell in row.cells] == ["no score of step 40", ""]


def test_rows_of_a_value_stand_in_a_block_with_its_heading(fake: FakeStore, scope: Scope) -> None:
    entries = [*cells(fake), fake.cell("alone", [0.1, 0.1]), fake.single("pixel_bag", 0.2)]
    for name in ("weight", "objective.optical.weight"):
        (table,) = reported(fake, entries, scope, group=name, sort="cover").answer.tables
        blocks = [(heading, [line.label for line in lines]) for heading, lines in score_grid(table).blocks]
        assert blocks == [
            ("weight = 1", ["optical=clip, weight=1", "optical=none, weight=1"]),
            ("weight = 2", ["optical=clip, weight=2", "optical=none, weight=2"]),
            ("others", ["alone"]),
            ("not trained here", ["pixel_bag"]),
        ]
    with pytest.raises(UserError, match="group: the grid sets no 'wieght', did you mean 'weight'"):
        reported(fake, entries, scope, group="wieght")


def test_another_metric_is_computed_anew_and_said_not_to_be_the_protocols(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake)
    (table,) = reported(fake, entries, scope, metric="macro_f1", baseline=entries[0].label).answer.tables
    column, cell = table.columns[0], table.rows[3].cells[0]
    assert (column.metric, column.protocol_metric) == ("macro_f1", "accuracy")
    by_hand = []
    for _, subject in entries[3].subjects:
        found = read_predictions(next((fake.root / subject / "scores").glob("*.npz")))
        by_hand.append(measure("macro_f1", found.truth, found.scores, found.predicted)[0])
    assert cell.estimate is not None and cell.estimate.value == pytest.approx(np.mean(by_hand))
    assert cell.estimate.value != pytest.approx(0.6, abs=1e-4) and cell.difference is not None
    for grid in (score_grid(table), difference_grid(table)):
        assert grid is not None and grid.headings[0].lines == ["cover", "macro-F1", "not the protocol's", "n = 120"]
        assert "macro-F1 is what this report asks for" in grid.caption and "metric is accuracy" in grid.caption
    (own,) = reported(fake, entries, scope, metric="accuracy").answer.tables
    assert own.columns[0].protocol_metric == "" and "asks for" not in score_grid(own).caption


def test_the_protocols_metric_is_still_found_beside_another(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake)
    finder = reported(fake, entries, scope, metric="macro_f1").answer.finder
    at = ("cover", "knn5_l2", "scenes-v1", "s2_10", "student")
    values = [
        finder.find(entries[0], finder.column(*at, metric=metric)).scores[0].value for metric in (None, "macro_f1")
    ]
    assert values[0] == pytest.approx(0.3) != pytest.approx(values[1], abs=1e-4)


def test_one_run_by_another_metric_has_the_bootstraps_interval_and_not_the_scores_own(
    fake: FakeStore, scope: Scope
) -> None:
    entry = fake.cell("a", [0.5], low=0.1, high=0.9)
    (own,) = reported(fake, [entry], scope).answer.tables
    (anew,) = reported(fake, [entry], scope, metric="macro_f1").answer.tables
    first, second = own.rows[0].cells[0].estimate, anew.rows[0].cells[0].estimate
    assert first is not None and second is not None
    assert (first.low, first.high) == (0.1, 0.9) and 0.3 < second.low < second.high < 0.7


def test_a_metric_that_does_not_fit_a_task_is_a_hole_with_the_reason(fake: FakeStore, scope: Scope) -> None:
    made = reported(fake, cells(fake), scope, metric="macro_map")
    assert made.answer.tables[0].rows[0].cells[0].reason == (
        "macro_map does not fit single-label data (what does: accuracy, micro_f1, macro_f1, ece)"
    )
    assert made.problems == []
    with pytest.raises(UserError, match=r"r\.toml: metric: is no metric, did you mean 'macro_f1', got 'macrof1'"):
        check_spec({"metric": "macrof1"}, "r.toml")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"columns": []}, "columns: has to have 1 or more values"),
        ({"columns": ["task", "task"]}, "columns: says 'task' twice; say it once"),
        ({"columns": ["tasks"]}, "columns.0: has to be .*did you mean 'task', got 'tasks'"),
        ({"rows": "a"}, "rows: has to be a list, got 'a'"),
        ({"group": 3}, "group: has to be a text, got 3"),
        ({"partition": "x"}, "unknown key 'partition', did you mean 'partitions'"),
    ],
)
def test_mistakes_are_one_line_with_file_and_key(table: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=rf"^r\.toml: {told}") as caught:
        check_spec(table, "r.toml")
    assert "\n" not in str(caught.value)


def test_what_was_seen_before_has_a_dagger_in_its_column_alone(fake: FakeStore, scope: Scope) -> None:
    entries = cells(fake)
    for entry in entries:
        fake.cell(entry.label, [0.4, 0.41, 0.42], task="uses")
    teacher, images = Seen("†", "teacher clip was trained on Cover"), Seen("‡", "pre-trained on it")
    entries[2] = replace(entries[2], seen={"cover": (teacher,)})
    entries[3] = replace(entries[3], seen={"cover": (images, teacher), "elsewhere": (images,)})
    wide = replace(scope, tasks=("cover", "uses"))
    (table,) = reported(fake, entries, wide, baseline=entries[0].label).answer.tables
    for grid in (score_grid(table), difference_grid(table)):
        assert grid is not None
        daggers = {line.label: [slot.daggers for slot in line.slots] for line in grid.lines}
        assert daggers["optical=clip, weight=1"] == [("†",), ()]
        assert daggers["optical=clip, weight=2"] == [("†", "‡"), ()]
        assert daggers["optical=none, weight=2"] == [(), ()]
        assert grid.daggers == (("†", "teacher clip was trained on Cover"), ("‡", "pre-trained on it"))
    rows = list(csv.DictReader(io.StringIO(comma_separated([table]))))
    assert [row["seen"] for row in rows][-2:] == ["pre-trained on it; teacher clip was trained on Cover", ""]
