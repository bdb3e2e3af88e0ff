"""Curves from a store: which steps, which labels, and nothing where nothing was scored."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.figures.style import styled
from deo_bench.reports.sections import curves
from deo_bench.reports.spec import ReportSpec
from tests.reports.conftest import FakeStore

Lines = dict[str, list[list[float]]]


def answer_of(fake: FakeStore, scope: Scope, entries: list[Entry], **spec: Any) -> Answer:
    return make_answer(ReportSpec(**spec), entries, scope, fake.root)


def finish(fake: FakeStore, entry: Entry, **info: Any) -> None:
    for _, subject in entry.subjects:
        (fake.root / subject / "run.json").write_text(json.dumps({"state": "done", **info}))


def lines(answer: Answer) -> dict[str, Lines]:
    """What the figures show, by their name: label and line style -> points."""
    found = {}
    for section in curves.sections(answer):
        for drawing in section.drawings:
            with styled():
                axes = drawing.draw().axes[0]
            found[drawing.name] = {
                f"{line.get_label()} {line.get_linestyle()}": line.get_xydata().round(6).tolist() for line in axes.lines
            }
    return found


def along(fake: FakeStore, label: str, by_step: dict[int | None, float], weights: str = "student") -> Entry:
    made = [fake.cell(label, [share, share], step=step, weights=weights) for step, share in by_step.items()]
    return made[0]


def test_a_learning_curve_goes_from_the_untrained_student_to_the_last_step(fake: FakeStore, scope: Scope) -> None:
    entry = along(fake, "both", {5: 0.4, 10: 0.5, None: 0.6})
    along(fake, "both", {5: 0.45, 10: 0.55, None: 0.7}, "ema")
    finish(fake, entry, steps=30)
    untrained = replace(fake.cell("untrained", [0.3, 0.3]), kind="baseline", is_untrained=True)
    finish(fake, untrained, steps=0)
    told = lines(answer_of(fake, replace(scope, weights=("student", "ema")), [entry, untrained]))
    assert list(told) == ["curves"]
    assert told["curves"] == {
        "both -": [[0, 30], [5, 40], [10, 50], [30, 60]],
        "both --": [[0, 30], [5, 45], [10, 55], [30, 70]],
    }


def test_a_step_that_is_the_last_one_is_shown_once(fake: FakeStore, scope: Scope) -> None:
    entry = along(fake, "both", {5: 0.4, 10: 0.6, None: 0.6})
    finish(fake, entry, steps=10)
    answer = answer_of(fake, scope, [entry])
    assert [x for x, _ in lines(answer)["curves"]["both -"]] == [5, 10]
    (grid,) = curves.sections(answer)[1].grids
    assert [heading.task for heading in grid.headings] == ["step 5", "step 10"]
    assert [slot.text.split(" ")[0] for slot in grid.lines[0].slots] == ["40.0", "60.0"]
    assert curves.sections(answer)[1].shown == "folded" and curves.sections(answer)[0].shown == "page"


def test_a_run_that_does_not_say_its_steps_lacks_its_last_point(fake: FakeStore, scope: Scope) -> None:
    entry = along(fake, "both", {5: 0.4, 10: 0.5, None: 0.6})
    assert [x for x, _ in lines(answer_of(fake, scope, [entry]))["curves"]["both -"]] == [5, 10]


def test_cells_of_other_lengths_end_where_they_end(fake: FakeStore, scope: Scope) -> None:
    short, long = along(fake, "short", {5: 0.4, None: 0.5}), along(fake, "long", {5: 0.4, 10: 0.5, None: 0.6})
    finish(fake, short, steps=8)
    finish(fake, long, steps=20)
    answer = answer_of(fake, scope, [short, long])
    told = lines(answer)["curves"]
    assert [x for x, _ in told["short -"]] == [5, 8] and [x for x, _ in told["long -"]] == [5, 10, 20]
    (grid,) = curves.sections(answer)[1].grids
    assert [heading.task for heading in grid.headings] == ["step 5", "step 8", "step 10", "step 20"]


def test_nothing_where_no_step_and_no_partition_was_scored(fake: FakeStore, scope: Scope) -> None:
    entry = fake.cell("both", [0.5, 0.6])
    finish(fake, entry, steps=30)
    untrained = replace(fake.cell("untrained", [0.3, 0.3]), kind="baseline", is_untrained=True)
    assert curves.sections(answer_of(fake, scope, [entry, untrained])) == []


def few(fake: FakeStore, label: str, names: dict[str, float], **fields: Any) -> Entry:
    made = [fake.cell(label, [share, share], partition=name, **fields) for name, share in names.items()]
    return made[0]


SHARES = {"default": 0.9, "0.01x_train": 0.3, "0.10x_train": 0.5, "0.05x_train": 0.4}


def test_few_labels_stand_at_their_share(fake: FakeStore, scope: Scope) -> None:
    told = lines(answer_of(fake, scope, [few(fake, "both", SHARES)]))
    assert told == {"labels": {"both -": [[1, 30], [5, 40], [10, 50], [100, 90]]}}


def test_few_labels_stand_at_their_number_where_it_is_known(fake: FakeStore, scope: Scope) -> None:
    known = {"cover": {"default": 2000, "0.01x_train": 20, "0.10x_train": 200, "0.05x_train": 100}}
    answer = answer_of(fake, replace(scope, labelled=known), [few(fake, "both", SHARES)])
    assert [x for x, _ in lines(answer)["labels"]["both -"]] == [20, 100, 200, 2000]
    (grid,) = curves.sections(answer)[1].grids
    assert [heading.task for heading in grid.headings] == ["1 %", "5 %", "10 %", "100 %"]


def test_a_partition_of_all_labels_stands_for_the_default_one(fake: FakeStore, scope: Scope) -> None:
    shares = {"default": 0.9, "1.00x_train": 0.8, "0.10x_train": 0.5, "my_own": 0.2}
    answer = answer_of(fake, scope, [few(fake, "both", shares)])
    assert lines(answer)["labels"]["both -"] == [[10, 50], [100, 80]]
    assert "my_own" in curves.sections(answer)[0].drawings[0].caption


def test_many_rows_are_spread_over_figures_with_the_others_in_grey(fake: FakeStore, scope: Scope) -> None:
    entries = [few(fake, f"cell {n}", {"default": 0.5 + n / 100, "0.10x_train": 0.4}) for n in range(9)]
    told = lines(answer_of(fake, scope, entries))
    assert list(told) == ["labels-1", "labels-2"]
    shown = [name for each in told.values() for name in each if name.startswith("cell")]
    assert sorted(shown) == sorted(f"cell {n} -" for n in range(9))


def test_a_report_of_some_rows_shows_those(fake: FakeStore, scope: Scope) -> None:
    entries = [few(fake, name, {"default": 0.5, "0.10x_train": 0.4}) for name in ("one", "two")]
    assert list(lines(answer_of(fake, scope, entries, rows=["two"]))["labels"]) == ["two -"]
