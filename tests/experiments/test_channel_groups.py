"""A stem of groups of bands in an experiment on generated scenes, from the plan to the last score."""

from __future__ import annotations

import torch

from deo_bench import load_student
from deo_bench.engine.export import exported
from deo_bench.engine.stored import stored_student
from deo_bench.files import read_json
from tests.experiments.conftest import Place

SCENES = """
seeds = [0]
tasks = [{ use = "npz", path = "tiny.npz", name = "tiny", unit = "dn", groups = "place" }]
protocols = ["scenes-v1"]
baselines = []

[data]
use = "scenes"
count = 32

[views]
global = { count = 2, size = 16, scale = [0.4, 1.0] }
local = { count = 1, size = 8, scale = [0.2, 0.4] }
mask = 0.5

[student]
use = "vit_nano"
bands = ["s2_10", "rgb"]
width = 16
depth = 2
heads = 2
size = 16

[teachers.spectral]
use = "ema"
start = 0.9

[teachers.optical]
use = "descriptors"

[objective.cells]
loss = "ibot"
toward = "spectral"
on = "late"

[objective.agree]
loss = "cosine"
toward = "spectral"

[objective.optical]
loss = "cosine"
toward = "optical"
sees = "rgb"

[train]
steps = 3
batch = 8

[grid]
student.stem = ["dual", "channel_groups"]
"""


def test_it_is_trained_masked_scored_exported_and_loaded(place: Place) -> None:
    place.file.write_text(SCENES)
    plan = place.plan()
    outcome, _ = place.carry_out(plan)
    assert not outcome.failed and outcome.trained == 2 and not plan.scores_to_do()
    (name,) = [name for name, run in plan.runs.items() if run.recipe.student.stem.use == "channel_groups"]
    run, registry = plan.store.run(name), plan.experiment.registry
    assert read_json(run.path / "run.json")["marks"] == []
    student, taught = (stored_student(run, registry, which) for which in ("student", "ema"))
    moved = {key for key, value in student.state_dict().items() if not torch.equal(value, taught.state_dict()[key])}
    groups = ("visible_nir", "red_edge", "shortwave")
    assert {f"stem.project.{group}.weight" for group in groups} | {"mask_token"} <= moved
    content, _ = exported(run, registry)
    (place.folder / "student.safetensors").write_bytes(content)
    images = torch.rand(2, 10, 32, 48)
    alone = load_student(place.folder / "student.safetensors")
    assert torch.equal(alone(images), load_student(run.path)(images))
