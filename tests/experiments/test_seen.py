"""What rows have seen of the tasks' data: by a teacher's card, a teacher that is a run, or the pre-training images."""

from __future__ import annotations

from pathlib import Path

import pytest

from deo_bench.experiments.answer import entries_of
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.seen import seen_by_rows
from tests.experiments.conftest import Place
from tests.tiny import write_npz

PART = '''
from deo_bench.teachers import teacher
from deo_bench.teachers.descriptors import Descriptors


@teacher("learned", weights="none", gated=False, trained_on=["TINY (RGB)", "ImageNet"])
class Learned(Descriptors):
    """Descriptors with a card that says more."""
'''
TEACHER = """
[data]
use = "npz"
paths = ["tiny.npz"]
unit = "dn"
[views]
global = { count = 1, size = 16, scale = [0.4, 1.0] }
[student]
use = "vit_nano"
bands = ["rgb"]
width = 16
depth = 2
heads = 2
size = 16
[teachers.handmade]
use = "learned"
[objective.describe]
loss = "mse"
toward = "handmade"
pairs = "same"
crops = "global"
[train]
steps = 2
batch = 8
"""
TOLD = "pre-trained on this task's images without labels (train split)"


@pytest.fixture
def set_up(place: Place) -> Place:
    """Pre-trained on other images than the task's; cells with no optical teacher, a carded one, and a run of it."""
    write_npz(place.data, "other.npz", seed=1)
    (place.folder / "learned.py").write_text(PART)
    (place.folder / "optical.toml").write_text(TEACHER)
    text = place.file.read_text().split("[grid]")[0]
    text = text.replace('paths = ["tiny.npz"]', 'paths = ["other.npz"]')
    text = text.replace('"untrained"]', '"untrained", "learned"]\nparts = ["learned.py"]')
    text = text.replace("tasks = [", 'tasks = [{ use = "npz", path = "other.npz", name = "elsewhere", unit = "dn" }, ')
    text += (
        '\n[teachers.optical]\nuse = "none"\n[objective.look]\nloss = "cosine"\ntoward = "optical"\nsees = "rgb"\n'
        '\n[[cells]]\nname = "none"\n[[cells]]\nname = "carded"\nteachers.optical.use = "learned"\n'
        '[[cells]]\nname = "run"\nteachers.optical = { use = "run", recipe = "optical.toml" }\n'
    )
    place.file.write_text(text)
    return place


def told(plan: Plan) -> dict[str, dict[str, list[tuple[str, str]]]]:
    return {
        label: {task: [(one.mark, one.words) for one in seen] for task, seen in tasks.items()}
        for label, tasks in seen_by_rows(plan).items()
    }


def test_a_card_a_run_and_the_images_are_told_by_row_and_task(set_up: Place) -> None:
    plan = set_up.plan()
    other = {"elsewhere": [("‡", TOLD)]}
    assert told(plan) == {
        "none": other,
        "carded": {**other, "tiny": [("†", "teacher learned was trained on TINY (RGB)")]},
        "run": {
            **other,
            "tiny": [
                ("†", f"teacher run was {TOLD}"),
                ("†", "teacher run learned from learned, which was trained on TINY (RGB)"),
            ],
        },
        "learned": {"tiny": [("†", "teacher learned was trained on TINY (RGB)")]},
    }
    entries = {entry.label: entry for entry in entries_of(plan)}
    assert {label: dict(entry.seen) for label, entry in entries.items() if entry.seen} == seen_by_rows(plan)
    assert {"untrained", "image_stats", "majority class"} <= entries.keys() - seen_by_rows(plan).keys()


def test_a_frozen_teacher_beside_a_cell_counts(set_up: Place) -> None:
    set_up.file.write_text(
        set_up.file.read_text().replace("seeds = [0, 1]", 'seeds = [0]\nfrozen_concat = ["learned"]')
    )
    found = told(set_up.plan())
    assert found["none + learned"]["tiny"] == [("†", "teacher learned was trained on TINY (RGB)")]
    assert "tiny" not in found["none"]


def test_a_stored_run_by_its_name_says_what_it_learned_from(set_up: Place, tmp_path: Path) -> None:
    first = set_up.plan()
    set_up.carry_out(first)
    name = next(name for name, run in first.runs.items() if run.depth)
    text = set_up.file.read_text().replace('recipe = "optical.toml"', f'run = "{name}"')
    set_up.file.write_text(text)
    assert told(set_up.plan())["run"]["tiny"] == [
        ("†", "teacher run learned from learned, which was trained on TINY (RGB)")
    ], "where its images lay is not on record"
