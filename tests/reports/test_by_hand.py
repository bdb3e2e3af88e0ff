"""A whole report computed a second time, from the files alone: other code, formulas written anew."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from deo_bench.probes.intervals import resamples
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.report import make_report
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.write import render
from tests.reports.conftest import FakeStore

SEEDS = 3
SHARES = {
    "base": {"cover": [0.50, 0.55, 0.525], "crop": [0.60, 0.65, 0.70]},
    "near": {"cover": [0.55, 0.575, 0.60], "crop": [0.625, 0.65, 0.75]},
    "far": {"cover": [0.90, 0.925, 0.95], "crop": [0.70, 0.72, 0.80]},
}
GROUPS = np.arange(120) // 5
"""Of one size, so that a share of right answers on resampled groups is the mean of the groups' shares."""


@dataclass(frozen=True)
class Cell:
    """The runs of a cell on a task: values [S], and values on resamples of groups or images [S, R]."""

    values: np.ndarray
    resampled: np.ndarray
    units: int

    def minus(self, other: Cell) -> Cell:
        """Seed by seed and resample by resample."""
        return Cell(self.values - other.values, self.resampled - other.resampled, self.units)

    @property
    def variances(self) -> tuple[float, float]:
        """Of the mean over seeds: what seeds make of it, on S - 1, and what test units do, on units - 1.

        Seeds spread no less than each run does on the test units by itself.
        """
        spread = sum((value - self.values.mean()) ** 2 for value in self.values) / (SEEDS - 1)
        pairs = [np.cov(self.resampled[a], self.resampled[b])[0, 1] for a, b in combinations(range(SEEDS), 2)]
        shared, known = max(float(np.mean(pairs)), 0.0), self.units / (self.units - 1)
        alone = (np.mean([np.cov(run) for run in self.resampled]) - shared) * known
        return max(spread, alone) / SEEDS, shared * known

    @property
    def interval(self) -> tuple[float, float]:
        seeds, images = self.variances
        df = (seeds + images) ** 2 / (seeds**2 / (SEEDS - 1) + images**2 / (self.units - 1))
        low, high = stats.t(df, self.values.mean(), np.sqrt(seeds + images)).interval(0.95)
        return float(low), float(high)

    @property
    def p(self) -> float:
        """Of a sum of two scaled Student's t that is as far from zero: Behrens' and Fisher's distribution."""
        seeds, images = np.sqrt(self.variances)
        far = abs(self.values.mean())

        def tail(x: float) -> float:
            return float(stats.t.pdf(x, self.units - 1) * stats.t.sf((far - images * x) / seeds, SEEDS - 1))

        return 2 * float(integrate.quad(tail, -30, 30, limit=400, epsabs=1e-12)[0])


def cell_of(root: Path, entry: Entry, task: str) -> Cell:
    """From the JSON and the npz of each run."""
    values, resampled = [], []
    for _, subject in entry.subjects:
        [path] = (root / subject / "scores").glob(f"{task}.*.json")
        told = json.loads(path.read_text())
        with np.load(path.with_suffix(".npz")) as arrays:
            right = (arrays["truth"] == arrays["predicted"]).astype(float)
            groups = arrays["groups"] if "groups" in arrays else np.arange(len(right))
        assert told["value"] == pytest.approx(right.mean())
        shares = np.array([right[groups == group].mean() for group in range(groups.max() + 1)])
        drawn = resamples(len(shares), 1000, "report", told["task_content"]).astype(float)
        assert (drawn.sum(1) == len(shares)).all()
        values.append(right.mean())
        resampled.append((drawn * shares).sum(1) / len(shares))
    return Cell(np.array(values), np.array(resampled), len(shares))


def stepped_down(p: Sequence[float]) -> list[float]:
    """Holm's correction as its definition has it: the largest of the products up to each."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    return [min(1.0, max((len(p) - k) * p[order[k]] for k in range(order.index(i) + 1))) for i in range(len(p))]


def led(cells: dict[str, dict[str, Cell]], signs: dict[str, int], rank: int) -> dict[str, str]:
    """Task -> the cell of that rank, where it is better than every one below it, corrected over the tasks."""
    named, p = [], []
    for task, sign in signs.items():
        order = sorted(cells, key=lambda label: -sign * cells[label][task].values.mean())
        named.append(order[rank])
        p.append(max(cells[order[rank]][task].minus(cells[below][task]).p for below in order[rank + 1 :]))
    found = {task: label for task, label, each in zip(signs, named, stepped_down(p), strict=True) if each < 0.05}
    return found if rank == 0 else {task: label for task, label in found.items() if task in led(cells, signs, 0)}


@pytest.mark.parametrize("direction", ["max", "min"])
def test_every_number_of_a_report_is_what_its_files_say(fake: FakeStore, scope: Scope, direction: str) -> None:
    of_task: dict[str, dict[str, Any]] = {"cover": {}, "crop": {"groups": GROUPS, "direction": direction}}
    made = {
        (label, task): fake.cell(label, SHARES[label][task], task, **of_task[task])
        for label in SHARES
        for task in of_task
    }
    entries = [made[label, "cover"] for label in SHARES]
    spec = ReportSpec(baseline="base", formats=("csv", "markdown"))
    files = render(make_report(spec, entries, replace(scope, tasks=tuple(of_task)), fake.root))
    told = {(row["label"], row["task"]): row for row in csv.DictReader(io.StringIO(files["table.csv"].decode()))}
    cells = {entry.label: {task: cell_of(fake.root, entry, task) for task in of_task} for entry in entries}
    signs = {"cover": 1, "crop": 1 if direction == "max" else -1}
    best, second = led(cells, signs, 0), led(cells, signs, 1)
    assert best and len(told) == 6, "something leads, or the test says nothing of leading"
    apart = {(a, t): cells[a][t].minus(cells["base"][t]) for a in ("near", "far") for t in of_task}
    corrected = dict(zip(apart, stepped_down([each.p for each in apart.values()]), strict=True))
    assert {p < 0.05 for p in corrected.values()} == {True, False}, "some are resolved and some are not"
    text = files["table.md"].decode()
    for (label, task), row in told.items():
        cell = cells[label][task]
        low, high = cell.interval
        assert floats(row, "value", "low", "high") == pytest.approx([cell.values.mean(), low, high], rel=1e-6)
        marks = (row["best"] == "True", row["second"] == "True")
        assert marks == (best.get(task) == label, second.get(task) == label)
        shown = f"{100 * cell.values.mean():.1f} ±{50 * (high - low):.1f}"
        assert (f"**{shown}**" if marks[0] else f"<u>{shown}</u>" if marks[1] else f" {shown}") in text
        if label == "base":
            assert row["difference"] == row["difference_p"] == ""
            continue
        gain = apart[label, task]
        wanted = [gain.values.mean(), *gain.interval]
        assert floats(row, "difference", "difference_low", "difference_high") == pytest.approx(wanted, rel=1e-6)
        p = [gain.p, corrected[label, task]]
        assert floats(row, "difference_p", "difference_p_holm") == pytest.approx(p, rel=2e-3)
        assert (row["resolved"] == "True") == (corrected[label, task] < 0.05)
        ends = [f"{100 * end:.1f}" for end in gain.interval]
        rounded = f"{corrected[label, task]:.2f}".removeprefix("0").replace("1.00", "1")
        is_open = "" if corrected[label, task] < 0.05 else f" *unresolved, p = {rounded}*"
        assert f"| {100 * gain.values.mean():+.1f} [{', '.join(ends)}]{is_open} |" in text

    if direction == "max":
        both = {label: (of["cover"], of["crop"]) for label, of in cells.items()}
        means = {
            label: Cell((a.values + b.values) / 2, (a.resampled + b.resampled) / 2, min(a.units, b.units))
            for label, (a, b) in both.items()
        }
        places = stats.rankdata([[-cell.values.mean() for cell in pair] for pair in both.values()], axis=0).mean(1)
        for (label, cell), place in zip(means.items(), places, strict=True):
            low, high = cell.interval
            line = next(each for each in text[text.index("## Over all tasks") :].splitlines() if f"| {label} |" in each)
            assert f"{100 * cell.values.mean():.1f} ±{50 * (high - low):.1f}" in line
            assert f"| {place:.2f} |" in line


def floats(row: dict[str, str], *names: str) -> list[float]:
    return [float(row[name]) for name in names]
