"""Four teachers of four families and four students of four, in one grid, by the command, from weights in files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from deo_bench.bands import BAND_SETS
from deo_bench.files import read_json
from deo_bench.teachers._clip import ClipTeacher, tower_of
from deo_bench.teachers._pyramid import TimmPyramid
from deo_bench.teachers._vit import TimmVit
from deo_bench.teachers.dinov3_convnext import DinoV3ConvNext
from tests.cli.stored import typed
from tests.contract.backbones import SMALL_VIT

Run = Callable[[], tuple[str, list[dict[str, str]]]]
NARROW = ClipTeacher.narrow

EXPERIMENT = """
# Which teacher for which student?
seeds = [0]
tasks = [{{ use = "npz", path = "images.npz", name = "tiny", unit = "dn", groups = "place" }}]
protocols = [{{ use = "scenes-v1", bootstrap = 20, probes = {{ linear = {{ num_c = 2 }} }} }}]
baselines = ["image_stats", "majority"]

[data]
use = "npz"
paths = ["images.npz"]
unit = "dn"

[views]
global = {{ count = 2, size = 32, scale = [0.4, 1.0] }}

[student]
use = "vit_nano"
bands = ["s2_10", "rgb"]

[teachers.taught]
use = "{first}"

[objective.pooled]
loss = "cosine"
toward = "taught"
sees = "s2_10"

[objective.maps]
loss = "at"
toward = "taught"
sees = "s2_10"
on = "late"

[train]
steps = 3
batch = 6
lr = 1e-3

[grid]
"teachers.taught" = [
{teachers}
]
student = [
{students}
]
"""
STUDENTS = {
    "vit_nano": '{ use = "vit_nano", width = 16, depth = 2, heads = 2, size = 32 }',
    "swin_tiny": '{ use = "swin_tiny", width = 12, depths = [1, 1, 1, 1], heads = [1, 2, 4, 8], size = 32 }',
    "test_resnet": '{ use = "timm", model = "test_resnet" }',
    "test_convnext": '{ use = "timm", model = "test_convnext" }',
}


def write_images(path: Path) -> None:
    """Images of thirteen bands in DN, 32 px, whose class shows in the near infrared; two of a place."""
    draws, count = np.random.default_rng(0), 48
    labels = np.arange(count) % 3
    images = draws.normal(1500, 150, (count, 13, 32, 32))
    images[:, 7] += 400 * labels[:, None, None]
    np.savez(
        path,
        images=images.clip(1, 10_000).astype(np.uint16),
        labels=labels.astype(np.uint8),
        split=(np.arange(count) // 2 % 4 // 2 + (np.arange(count) // 2 % 4 == 3)).astype(np.uint8),
        bands=np.array(BAND_SETS["s2_13"]),
        classes=np.array(["a", "b", "c"]),
        place=np.arange(count) // 2,
    )


def weights_of(model: torch.nn.Module, path: Path) -> Path:
    """A file of weights that are not as they were initialised."""
    torch.manual_seed(1)
    state = model.state_dict()
    save_file({name: value + 0.02 * torch.randn(value.shape).to(value) for name, value in state.items()}, path)
    return path


def teachers(folder: Path) -> dict[str, str]:
    """A table for each teacher, with weights in a file: a ViT, both towers of a CLIP, a ResNet and a ConvNeXt."""
    vit = timm.create_model("vit_small_patch14_dinov2", num_classes=0, **SMALL_VIT)
    save_file(tower_of("ViT-B-32", None, NARROW, "test").state_dict(), folder / "clip.safetensors")
    convnext = timm.create_model("convnext_tiny", num_classes=0, **TimmPyramid.narrow)
    files = {
        "dinov2_vits14": weights_of(vit, folder / "vit.safetensors"),
        "clip_vitb32_remoteclip": folder / "clip.safetensors",
        "timm": weights_of(timm.create_model("test_resnet", num_classes=0), folder / "resnet.safetensors"),
        "dinov3_convnext_tiny": weights_of(convnext, folder / "convnext.safetensors"),
    }
    more = {"timm": ', model = "test_resnet.r160_in1k"'}
    return {name: f'{{ use = "{name}", file = "{path.name}"{more.get(name, "")} }}' for name, path in files.items()}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TimmVit, "overrides", SMALL_VIT)
    monkeypatch.setattr(TimmPyramid, "overrides", {})
    monkeypatch.setattr(DinoV3ConvNext, "overrides", TimmPyramid.narrow)
    monkeypatch.setattr(ClipTeacher, "overrides", NARROW)
    write_images(tmp_path / "images.npz")
    made = teachers(tmp_path)
    tables = {
        "first": "dinov2_vits14",
        "teachers": ",\n".join(made.values()),
        "students": ",\n".join(STUDENTS.values()),
    }
    (tmp_path / "grid.toml").write_text(EXPERIMENT.format(**tables))
    call = typed(capsys)

    def again() -> tuple[str, list[dict[str, str]]]:
        said = call("run", "grid.toml", "--data", str(tmp_path), "--plain", "--format", "csv")
        return said, [row for row in csv.DictReader(io.StringIO(said)) if row["protocol"] and row["n"] == "12"]

    return again


def test_every_pair_is_trained_scored_and_told(run: Run, tmp_path: Path) -> None:
    said, rows = run()
    students = ["vit_nano", "swin_tiny", "timm (model=test_resnet)", "timm (model=test_convnext)"]
    taught = ["dinov2_vits14", "clip_vitb32_remoteclip", "timm", "dinov3_convnext_tiny"]
    cells = [f"taught={teacher}, student={student}" for teacher, student in product(taught, students)]
    assert [row["label"] for row in rows if row["probe"] == "knn5_l2"] == [*cells, "image_stats", "majority class"]
    assert "16 of 16 runs" in said and "16 runs trained" in said
    runs = {path.parent.name: read_json(path)["recipe"] for path in (tmp_path / "runs").glob("*-s0/recipe.json")}
    assert len(runs) == 16
    for cell in cells:
        teacher, student = cell.removeprefix("taught=").split(", student=")
        wanted = (teacher, student.partition(" (model=")[0], student.partition("=")[2].rstrip(")") or None)
        (name,) = [name for name, recipe in runs.items() if built(recipe) == wanted]
        for row in (row for row in rows if row["label"] == cell):
            counted = accuracy(tmp_path / "runs" / name / "scores", row["probe"])
            assert float(row["value"]) == pytest.approx(counted, abs=1e-8)
    weights = [path.read_bytes() for path in sorted((tmp_path / "runs").glob("*-s0/student.safetensors"))]
    assert len(set(weights)) == 16
    said, again = run()
    assert again == rows and "runs trained" not in said


def built(recipe: dict[str, Any]) -> tuple[str, str, str | None]:
    """The teacher, the student and which of timm's models it is, of a run's recipe."""
    student = recipe["student"]
    return recipe["teachers"]["taught"]["use"], student["use"], student["options"].get("model")


def accuracy(scores: Path, probe: str) -> float:
    """Counted anew from the predictions that a score was computed from, and from the images' own labels."""
    (path,) = scores.glob(f"tiny.{probe}.*.npz")
    with np.load(path) as kept, np.load(scores.parents[2] / "images.npz") as images:
        right = kept["predicted"] == images["labels"][images["split"] == 2]
    return float(right.mean())
