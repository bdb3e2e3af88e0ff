"""GEO-Bench's aggregation in a report: by hand, with its bounds, and its words where seeds are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deo_bench.reports.answer import make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.grid import HOLE, Grid, Line
from deo_bench.reports.sections import quartiles
from deo_bench.reports.spec import ReportSpec
from tests.reports.conftest import FakeStore

TASKS = ("gb2-so2sat", "gb2-forestnet")
BOUNDS = {"gb2-so2sat": (0.2, 0.8), "gb2-forestnet": (0.4, 0.6)}
COUNTS = {
    "gb2-so2sat": [60, 66, 54, 120, 0, 61, 62, 63, 64, 65, 59, 58],
    "gb2-forestnet": [48, 49, 50, 51, 52, 90, 30, 53, 54, 55, 56, 57],
}
"""Right answers of 120, a seed each."""


@pytest.fixture
def asked(scope: Scope) -> Scope:
    return replace(scope, tasks=TASKS, protocols={"gb1-finetune": ("finetune",)})


def cell(fake: FakeStore, label: str, seeds: int = 12, tasks: Sequence[str] = TASKS, **fields: Any) -> Entry:
    given = {"probe": "finetune", "protocol": "gb1-finetune", **fields}
    made = [fake.cell(label, [count / 120 for count in COUNTS[task][:seeds]], task, **given) for task in tasks]
    return made[-1]


def grids(fake: FakeStore, entries: Sequence[Entry], scope: Scope, **keys: Any) -> list[Grid]:
    found = quartiles.sections(make_answer(ReportSpec(**keys), entries, scope, fake.root))
    return [grid for section in found for grid in section.grids]


def line(grid: Grid, label: str) -> Line:
    return next(each for each in grid.lines if each.label == label)


def notes(grid: Grid, label: str, place: int) -> list[str]:
    return [grid.footnotes[number - 1] for number in line(grid, label).slots[place].notes]


def cut(values: Sequence[float]) -> float:
    off = len(values) // 4
    return float(np.mean(sorted(values)[off : len(values) - off]))


def scaled(task: str, seeds: int = 12) -> list[float]:
    low, high = BOUNDS[task]
    return [(count / 120 - low) / (high - low) for count in COUNTS[task][:seeds]]


def test_each_data_set_and_all_of_them(fake: FakeStore, asked: Scope) -> None:
    (grid,) = grids(fake, [cell(fake, "a")], asked, bounds=BOUNDS)
    assert [heading.task for heading in grid.headings] == ["all", *TASKS]
    texts = [slot.text.split(" [")[0] for slot in line(grid, "a").slots]
    assert texts == [f"{cut(values):.2f}" for values in (scaled(TASKS[0]) + scaled(TASKS[1]), *map(scaled, TASKS))]
    assert notes(grid, "a", 0) == ["12 of 24 scores are in it"]
    assert notes(grid, "a", 1) == ["6 of 12 scores are in it"]
    assert "100 resamples" in grid.caption and "the bounds that the report gives" in grid.caption


def test_the_interval_is_of_seeds_within_a_data_set(fake: FakeStore, asked: Scope) -> None:
    (grid,) = grids(fake, [cell(fake, "a")], asked, bounds=BOUNDS)
    draws = np.random.default_rng(3)
    values = [np.array(scaled(task)) for task in TASKS]
    means = [cut(np.concatenate([draws.choice(each, 12) for each in values]).tolist()) for _ in range(4000)]
    low, high = (float(text) for text in line(grid, "a").slots[0].text.split("[")[1].rstrip("]").split(", "))
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.03)


def test_few_seeds_are_a_plain_mean_and_said(fake: FakeStore, asked: Scope) -> None:
    (grid,) = grids(fake, [cell(fake, "a", 3)], asked, bounds=BOUNDS)
    assert line(grid, "a").slots[1].text.startswith(f"{np.mean(scaled(TASKS[0], 3)):.2f} [")
    assert notes(grid, "a", 1) == ["3 of 3 scores are in it", "fewer than 4 seeds: none is trimmed, a plain mean"]
    assert notes(grid, "a", 0) == ["4 of 6 scores are in it", "fewer than 4 seeds of a data set"]


def test_a_row_without_a_data_set_has_the_others(fake: FakeStore, asked: Scope) -> None:
    (grid,) = grids(fake, [cell(fake, "a"), cell(fake, "b", tasks=TASKS[:1])], asked, bounds=BOUNDS)
    assert [slot.text == HOLE for slot in line(grid, "b").slots] == [True, False, True]
    assert notes(grid, "b", 0) == notes(grid, "b", 2) == [f"no score on {TASKS[1]}"]


def test_without_bounds_it_is_of_what_was_observed(fake: FakeStore, asked: Scope) -> None:
    (grid,) = grids(fake, [cell(fake, "a")], asked)
    values = [(each - min(COUNTS[TASKS[0]])) / 120 for each in COUNTS[TASKS[0]]]
    assert line(grid, "a").slots[1].text.startswith(f"{cut(values):.2f}")
    assert "another table's are not comparable" in grid.caption


def test_published_bounds_by_name(fake: FakeStore, asked: Scope) -> None:
    """GEO-Bench-2's of so2sat: .511156 to .654158, of the task `gb2-so2sat` too."""
    (grid,) = grids(fake, [cell(fake, "a")], asked, normaliser="geobench-2")
    mean = cut([count / 120 for count in COUNTS["gb2-so2sat"]])
    assert line(grid, "a").slots[1].text.startswith(f"{(mean - 0.511156) / (0.654158 - 0.511156):.2f}")


def test_it_is_of_geobenchs_protocols_and_of_every_probe_of_theirs(fake: FakeStore, asked: Scope) -> None:
    entry = cell(fake, "a", protocol="gb2-hpo16")
    cell(fake, "a", protocol="gb2-hpo16", probe="frozen")
    both = replace(asked, protocols={"gb2-hpo16": ("finetune", "frozen")})
    assert [grid.title.count("frozen") for grid in grids(fake, [entry], both, bounds=BOUNDS)] == [0, 1]
    other = replace(asked, protocols={"scenes-v1": ("knn5_l2",)})
    assert not grids(fake, [cell(fake, "a", protocol="scenes-v1", probe="knn5_l2")], other)
    assert not grids(fake, [Entry("none", "cell", [(0, "000000000000-s0")])], asked)
