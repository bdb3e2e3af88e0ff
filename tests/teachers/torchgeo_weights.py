"""Teachers whose weights torchgeo names: its record of them, its model, and files as they are published."""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
from pathlib import Path
from typing import Any

import torch
import torchgeo.models
from torch import nn

from deo_bench.bands import canonical
from tests.contract.backbones import REGISTRY

NAMES = [name for name, part in REGISTRY.all("teacher").items() if "torchgeo" in part.facts]
HEADS = ("head.weight", "head.bias", "fc.weight", "fc.bias")
NARROW_VIT = {"embed_dim": 48, "num_heads": 3}
NARROW_RESNET = {"layers": (1, 1, 1, 1), "channels": (8, 12, 16, 24)}


def published(name: str) -> Any:
    """torchgeo's own record of an entry's weights."""
    enum, member = REGISTRY.get("teacher", name).facts["torchgeo"].split(".")
    return getattr(torchgeo.models, enum)[member]


def steps(name: str) -> list[tuple[list[float], list[float]]]:
    """Mean and std of each normalisation among torchgeo's transforms, in order."""
    return [(list(step.mean), list(step.std)) for step in published(name).transforms if hasattr(step, "mean")]


def bands(name: str) -> tuple[str, ...]:
    return tuple(canonical(f"B0{band[1:]}" if len(band) == 2 else band) for band in published(name).meta["bands"])


def architecture(name: str, **changes: Any) -> nn.Module:
    """torchgeo's own model, as it builds it for an entry's weights, without loading them."""
    record = published(name)
    called = "resnet152" if "ResNet152" in type(record).__name__ else record.meta["model"]
    build, channels = getattr(torchgeo.models, called), record.meta["in_chans"]
    if called.startswith("swin"):
        model = build(**changes)
        model.features[0][0] = nn.Conv2d(channels, model.features[0][0].out_channels, (4, 4), (4, 4))
        return model
    sizes = {"img_size": 224} if "dinov2" in called else {}
    return build(in_chans=channels, **sizes, **changes)


def drawn(model: nn.Module, spread: float = 0.2) -> nn.Module:
    """The model with weights that are not as they were initialised."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point() and "relative_coords" not in name:
                values = spread * torch.randn_like(value)
                value.copy_(values.abs() + 0.5 if "running_var" in name or "logit_scale" in name else values)
    return model.eval()


def entry(name: str) -> dict[str, Any]:
    """The literal that the family's constructor reads."""
    return importlib.import_module(REGISTRY.load("teacher", name).__module__).ENTRIES[name]


def place(name: str, cache: Path) -> Path:
    """Where an entry's file lies in a cache of the hub."""
    facts = REGISTRY.get("teacher", name).facts
    repository, revision = facts["weights"].removeprefix("hub:").split("@")
    folder = cache / f"models--{repository.replace('/', '--')}" / "snapshots" / revision
    folder.mkdir(parents=True)
    return folder / facts["filename"]


def digits(path: Path) -> str:
    """What a file's name would end with, by torch.hub's custom."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


class Runs:
    """Would make a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def spoil(kind: str, state: dict[str, torch.Tensor], path: Path, ran: Path) -> None:
    """Write a state dict in a way that may not be loaded."""
    name = next(name for name, value in state.items() if value.ndim == 4)
    if kind == "wrong shape":
        state = {**state, name: state[name][:, :2]}
    elif kind == "a name lacks":
        state = {key: value for key, value in state.items() if key != name}
    elif kind == "a name more":
        state = {**state, "layer9.weight": torch.zeros(2)}
    torch.save(state, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "pickled code":
        path.write_bytes(pickle.dumps({"state_dict": Runs(ran)}, protocol=2))


SPOILT = {
    "wrong shape": "has shape",
    "a name lacks": "lacks ",
    "a name more": "has layer9.weight",
    "truncated": "cannot be read as weights",
    "pickled code": "pickled objects or code",
}
