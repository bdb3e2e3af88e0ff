"""Costs as runs recorded them, and holes where they did not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.figures.style import styled
from deo_bench.reports.grid import HOLE
from deo_bench.reports.sections import cost
from deo_bench.reports.spec import ReportSpec
from tests.reports.conftest import FakeStore


def trained(fake: FakeStore, label: str, shares: list[float], **compute: Any) -> Entry:
    """A cell whose runs took 100 and 200 seconds."""
    entry = fake.cell(label, shares)
    for place, (_, subject) in enumerate(entry.subjects):
        info: dict[str, Any] = {"state": "done", "steps": 30, "seconds": 100.0 * (place + 1), "device": "cpu"}
        if compute:
            info["compute"] = counted(**compute)
        (fake.root / subject / "run.json").write_text(json.dumps(info))
    return entry


def counted(
    parameters: int = 900_000, gmacs: float = 0.5, pflops: float = 2.0, images: int = 960, size: int = 40
) -> Any:
    by_size = {"16": gmacs / 5, str(size): gmacs}
    return {
        "parameters": parameters,
        "images": images,
        "student_gmacs": {"rgb": {key: value / 2 for key, value in by_size.items()}, "s2_10": by_size},
        "train_pflops": pflops,
    }


def answer_of(fake: FakeStore, scope: Scope, *entries: Entry) -> Answer:
    return make_answer(ReportSpec(), entries, scope, fake.root)


def texts(answer: Answer) -> dict[str, list[str]]:
    (section,) = cost.sections(answer)
    (grid,) = section.grids
    return {line.label: [slot.text for slot in line.slots] for line in grid.lines}


def test_the_table_says_what_the_runs_recorded(fake: FakeStore, scope: Scope) -> None:
    entries = [
        trained(fake, "small", [0.5, 0.6], pflops=2),
        trained(fake, "large", [0.7, 0.8], parameters=22_600_000, gmacs=4.6),
    ]
    answer = answer_of(fake, scope, *entries)
    assert texts(answer) == {
        "small": ["0.900", "0.500", "960", "2.00", "150"],
        "large": ["22.6", "4.60", "960", "2.00", "150"],
    }
    (grid,) = cost.sections(answer)[0].grids
    assert grid.headings[1].size == "40 px" and grid.headings[3].task == "PFLOPs" and "(cpu)" in grid.caption


def test_figures_are_of_the_costs_in_which_cells_differ(fake: FakeStore, scope: Scope) -> None:
    entries = [trained(fake, "a", [0.5, 0.5], pflops=2e-3), trained(fake, "b", [0.75, 0.75], pflops=8e-3)]
    (section,) = cost.sections(answer_of(fake, scope, *entries))
    (drawing,) = section.drawings
    assert drawing.name == "cost-compute"
    with styled():
        axes = drawing.draw().axes[0]
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn == {"1": [[2, 50]], "2": [[8, 75]], "front": [[2, 50], [8, 75]]}
    assert axes.get_xlabel() == "TFLOPs of training"
    alike = [trained(fake, "c", [0.5, 0.5], pflops=8e-3), trained(fake, "d", [0.75, 0.75], pflops=8.1e-3)]
    assert not cost.sections(answer_of(fake, scope, *alike))[0].drawings, "noise on an axis of its own"


def test_what_was_not_trained_has_no_place_where_training_is_what_costs(fake: FakeStore, scope: Scope) -> None:
    entries = [trained(fake, "a", [0.5, 0.5], pflops=2, parameters=10**6), trained(fake, "b", [0.75, 0.75], pflops=8)]
    plain = trained(fake, "untrained", [0.25, 0.25], pflops=0, images=0, size=224)
    answer = answer_of(fake, scope, *entries, replace(plain, kind="baseline", is_untrained=True))
    points = {}
    for drawing in cost.sections(answer)[0].drawings:
        with styled():
            points[drawing.name] = [line.get_label() for line in drawing.draw().axes[0].lines]
    assert points == {"cost-parameters": ["front", "1", "2", "3"], "cost-compute": ["front", "1", "2"]}
    assert texts(answer)["untrained"] == ["0.900", HOLE, "0", "0", "150"]


def test_runs_of_an_earlier_version_have_holes_and_declared_parameters(fake: FakeStore, scope: Scope) -> None:
    old = replace(trained(fake, "old", [0.5, 0.6]), parameters=22.6)
    teacher = replace(fake.single("dinov2_vitb14", 0.7), parameters=86.6)
    answer = answer_of(fake, scope, old, teacher, fake.single("image_stats", 0.4))
    assert texts(answer) == {"old": ["22.6", HOLE, HOLE, HOLE, "150"], "dinov2_vitb14": ["86.6", *[HOLE] * 4]}
    (grid,) = cost.sections(answer)[0].grids
    assert grid.footnotes[0] == "as declared, not counted" and len(grid.footnotes) == 3


def test_nothing_before_anything_is_trained_and_torn_files_are_passed_over(fake: FakeStore, scope: Scope) -> None:
    entry = replace(fake.cell("a", [0.5, 0.6]), parameters=22.6)
    assert cost.sections(answer_of(fake, scope, entry)) == []
    one, other = (fake.root / subject / "run.json" for _, subject in entry.subjects)
    one.write_text("{")
    other.write_text(json.dumps({"state": "failed", "seconds": 3}))
    assert cost.sections(answer_of(fake, scope, entry)) == []
    other.write_text(json.dumps({"state": "done", "seconds": 30, "compute": None}))
    assert texts(answer_of(fake, scope, entry)) == {"a": ["22.6", HOLE, HOLE, HOLE, "30"]}


def test_arithmetic_that_is_no_table_of_sizes_is_not_counted(fake: FakeStore, scope: Scope) -> None:
    told = counted() | {"student_gmacs": {"s2_10": [3]}}
    entry = trained(fake, "odd", [0.5, 0.6])
    for _, subject in entry.subjects:
        path = fake.root / subject / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"compute": told}))
    assert texts(answer_of(fake, scope, entry))["odd"][1] == "–"
