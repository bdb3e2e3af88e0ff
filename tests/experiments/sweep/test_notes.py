"""What a sweep says that has no effect is told, and is no mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from deo_bench.experiments.sweep.notes import notes_of
from deo_bench.experiments.sweep.summary import told_sweep
from tests.sweeping import SWEEP, Place

COST = '\n[[sweep.objectives]]\n[[sweep.objectives]]\ncost = "{}"\n'
MEASURED = SWEEP.replace("best = 1", 'best = 1\npruner = "median"\nmeasure = { every = 0.5 }')


def told(folder: Path, text: str, *overrides: str) -> list[str]:
    made = Place(folder, text).sweep(*overrides)
    notes = notes_of(made)
    assert all(note.startswith(f"{folder}/tiny.toml: sweep.") and note in told_sweep(made) for note in notes)
    return [note.partition(": ")[2] for note in notes]


def test_measurements_without_a_pruner_are_told(tmp_path: Path) -> None:
    assert told(tmp_path, MEASURED) == []
    (note,) = told(tmp_path, MEASURED, "sweep.pruner=none")
    assert note == 'sweep.measure: has no effect, since pruner is "none": nothing is measured on the way'
    assert told(tmp_path, SWEEP) == []


@pytest.mark.parametrize(
    ("cost", "more", "is_fixed"),
    [
        ("parameters", "", True),
        ("parameters", "student.width = [16, 32]", False),
        ("train_pflops", "", True),
        ("train_pflops", "train.batch = [4, 8]", False),
        ("train_pflops", "train.steps = [4, 8]", False),
        ("train_pflops", "student.width = [16, 32]", False),
    ],
)
def test_a_cost_that_no_path_changes_is_told(tmp_path: Path, cost: str, more: str, is_fixed: bool) -> None:
    notes = told(tmp_path, f"{SWEEP}{more}\n{COST.format(cost)}")
    assert [note.partition(":")[0] for note in notes] == ["sweep.objectives[1]"] * is_fixed


def test_a_budget_of_pflops_is_what_every_trial_costs(tmp_path: Path) -> None:
    budget = SWEEP.replace("best = 1", "best = 1\nbudget = { pflops = 1e-6 }")
    (note,) = told(tmp_path, f"{budget}student.width = [16, 32]\n{COST.format('train_pflops')}")
    assert note.endswith("tells no trials apart: every trial of a cell has the same PFLOPs of the training")
