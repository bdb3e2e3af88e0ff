"""PED-ANOVA against a computation by hand, and where it has nothing to say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.reports.importances import LEAST, importances
from deo_bench.reports.searched import Axis, Searched, Tried
from tests.reports import studies

ROOT = Path(__file__).parents[2]


def of(axes: tuple[Axis, ...], points: list[dict[str, Any]], values: list[float], direction: Any = "max") -> Searched:
    made = [
        Tried(number, "complete", (value,), point)
        for number, (point, value) in enumerate(zip(points, values, strict=True))
    ]
    return studies.study(
        len(made), made=made, axes=axes, aims=(replace(studies.KNN, direction=direction),), has_finalists=False
    )


def density(counts: list[int]) -> np.ndarray:
    """A Parzen estimator of a category, by hand: a kernel a category that was seen, and a uniform one."""
    seen = [place for place, count in enumerate(counts) if count]
    many, kernels = len(counts), len(seen) + 1
    rows = np.full((kernels, many), 1 / kernels)
    rows[np.arange(len(seen)), seen] += 1
    rows /= rows.sum(1, keepdims=True)
    weights = np.array([*(counts[place] for place in seen), 1.0])
    return (weights / weights.sum()) @ rows


def divergence(top: list[int], every: list[int]) -> float:
    best, all_ = density(top) + 1e-12, density(every) + 1e-12
    return float(all_ @ (best / all_ - 1) ** 2)


CHOICES = (Axis("a", "a", choices=("x", "y")), Axis("b", "b", choices=("x", "y", "z")))


@pytest.mark.parametrize("direction", ["max", "min"])
def test_two_paths_of_choices_are_as_computed_by_hand(direction: str) -> None:
    """20 trials: the best five are all x in a, and 2, 2, 1 in b; the worst five are as all are."""
    points = [{"a": "x" if n < 8 or n in (16, 18) else "y", "b": "xyz"[n % 3]} for n in range(20)]
    order = 1 if direction == "max" else -1
    values = [order * (1.0 - n / 20) for n in range(20)]
    found = importances(of(CHOICES, points, values, direction), 0)
    raw = {"a": divergence([5, 0], [10, 10]), "b": divergence([2, 2, 1], [7, 7, 6])}
    assert (found.trials, found.top) == (20, 5) and list(found.shares) == ["a", "b"]
    assert found.shares["a"] == pytest.approx(raw["a"] / (raw["a"] + raw["b"]), rel=1e-9)
    assert sum(found.shares.values()) == pytest.approx(1)


def test_the_path_that_decides_is_the_most_important() -> None:
    found = importances(studies.wide(200, 6), 0)
    assert next(iter(found.shares)) == "objective.term_5.weight" and found.top == 20
    assert next(iter(found.shares.values())) > 0.4


def test_whole_numbers_are_measured_by_their_steps() -> None:
    """Values 16 apart are four places, not spikes among fifty: else what happens to lie on one would seem to decide."""
    found = importances(studies.two_aims(30), 0)
    assert next(iter(found.shares)) == studies.WEIGHT.path and found.shares[studies.BATCH.path] < 0.5


def test_a_path_that_is_not_always_in_force_is_measured_where_it_is() -> None:
    found = importances(studies.study(40), 0)
    held = sum(studies.BETA.path in trial.settings for trial in studies.trials(40) if trial.state == "complete")
    assert found.conditional == {studies.BETA.path: held} and 0 <= found.shares[studies.BETA.path] < 1
    assert set(found.shares) == {axis.path for axis in studies.SPACE} and not found.left_out


def test_where_there_is_nothing_to_say_it_says_why() -> None:
    few = importances(studies.study(LEAST - 1, made=studies.trials(LEAST - 1, has_pruning=False)), 0)
    assert not few.shares and "10 finished trials, and there are 9" in few.reason
    points = [{"a": "xy"[n % 2], "b": "xyz"[n % 3]} for n in range(12)]
    flat = importances(of(CHOICES, points, [0.5] * 12), 0)
    assert not flat.shares and "one value" in flat.reason
    fixed = importances(
        of((Axis("a", "a", choices=("x",)), Axis("c", "c", False, 2.0, 2.0)), points, list(range(12))), 0
    )
    assert not fixed.shares and "no path" in fixed.reason


def test_a_path_in_force_in_one_trial_is_left_out() -> None:
    points: list[dict[str, Any]] = [{"a": "xy"[n % 2]} for n in range(12)]
    points[3]["b"] = "z"
    found = importances(of(CHOICES, points, [float(n) for n in range(12)]), 0)
    assert found.left_out == ("b",) and list(found.shares) == ["a"]


ALONE = """
import sys
sys.modules["sklearn"] = sys.modules["torch"] = None
from deo_bench.reports.importances import importances
from tests.reports import studies
found = importances(studies.study(40), 0)
print(sorted(found.shares.items()), file=sys.stdout)
print(list(found.shares))
"""


def test_it_takes_neither_torch_nor_scikit_learn_and_the_order_of_names_says_nothing() -> None:
    said = set()
    for seed in ("0", "1"):
        told = subprocess.run(
            [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=120, cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        assert not told.stderr, "a report says nothing of Optuna's logs and warnings"
        said.add(told.stdout)
    assert len(said) == 1
