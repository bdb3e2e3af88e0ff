"""A data set, a task and a recipe small enough to train in a blink, used by tests of the loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from deo_bench.backbone import Backbone
from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack
from deo_bench.engine.embed import encoded
from deo_bench.engine.view import View
from deo_bench.probes.record import ProtocolRecord

SIZE = 16


def write_npz(folder: Path, name: str = "tiny.npz", count: int = 96, seed: int = 0) -> Path:
    """Images [N, 10, 16, 16] in DN whose class shows in the near infrared; splits 0, 1, 2; two images a place."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = draws.normal(1500, 150, (count, 10, SIZE, SIZE))
    images[:, 6] += 400 * labels[:, None, None]
    np.savez(
        folder / name,
        images=images.clip(1, 10_000).astype(np.uint16),
        labels=labels.astype(np.uint8),
        split=(np.arange(count) // 2 % 4 // 2 + (np.arange(count) // 2 % 4 == 3)).astype(np.uint8),
        bands=np.array(BAND_SETS["s2_10"]),
        classes=np.array(["a", "b", "c"]),
        place=np.arange(count) // 2,
    )
    return folder / name


def recipe(**changes: Any) -> dict[str, Any]:
    """Tables of a recipe: a dual stem, a spectral teacher, and an optical one that is untrained."""
    tables: dict[str, Any] = {
        "data": {"use": "npz", "paths": ["tiny.npz"], "unit": "dn"},
        "views": {
            "global": {"count": 2, "size": 16, "scale": [0.4, 1.0]},
            "local": {"count": 1, "size": 8, "scale": [0.2, 0.4]},
        },
        "student": {
            "use": "vit_nano",
            "bands": ["s2_10", "rgb"],
            "width": 16,
            "depth": 2,
            "heads": 2,
            "size": 16,
            "drop_path": 0.1,
        },
        "teachers": {"spectral": {"use": "ema", "start": 0.9}},
        "heads": {"views": {"use": "mlp", "width": 8, "hidden": 16}},
        "objective": {
            "compress": {"loss": "compression", "toward": "spectral", "head": "views"},
            "expand": {"loss": "coding_rate", "toward": "spectral", "head": "views"},
        },
        "train": {"steps": 6, "batch": 8, "lr": 1e-3},
    }
    return {**tables, **changes}


EXPERIMENT = """
# Does the spectral teacher help?
seeds = [0, 1]
tasks = [{ use = "npz", path = "tiny.npz", name = "tiny", unit = "dn", groups = "place" }]
protocols = ["scenes-v1"]
baselines = ["image_stats", "majority", "untrained"]

[data]
use = "npz"
paths = ["tiny.npz"]
unit = "dn"

[views]
global = { count = 2, size = 16, scale = [0.4, 1.0] }

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

[heads.views]
use = "mlp"
width = 8
hidden = 16

[objective.compress]
loss = "compression"
toward = "spectral"
head = "views"

[objective.expand]
loss = "coding_rate"
toward = "spectral"
head = "views"

[train]
steps = 6
batch = 8
lr = 1e-3

[grid]
objective.expand.weight = [0.0, 1.0]
"""


def encode(backbone: Backbone, pack: Pack, bands: str, protocol: ProtocolRecord, device: torch.device) -> np.ndarray:
    """The default vectors [N, D] of every image of a pack, encoded here and kept nowhere."""
    batches = encoded(backbone, pack, View(protocol, bands), np.arange(len(pack)), device)
    return np.concatenate([features.get("default").cpu().numpy() for features, _ in batches])
