"""torchgeo's transformers made tiny, with weights that are not as they began, in files as their authors have them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from torch import Tensor, nn

from deo_bench.bands import BAND_SETS
from deo_bench.features import Images
from deo_bench.registry import Registry

REGISTRY = Registry()
TINY = {
    "dofa": {"embed_dim": 24, "depth": 2, "num_heads": 2},
    "croma": {"encoder_dim": 32, "encoder_depth": 2},
    "copernicusfm": {"embed_dim": 24, "depth": 2, "num_heads": 2},
    "panopticon": {"embed_dim": 24, "depth": 2, "num_heads": 2, "attn_dim": 48},
    "scalemae": {"embed_dim": 24, "depth": 2, "num_heads": 2},
}
NAMES = [name for name in REGISTRY.all("teacher") if name.split("_")[0] in TINY]
SMALLEST = {name.split("_")[0]: name for name in reversed(NAMES) if "vitl" not in name or "scale" in name}
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def drawn(model: Any, seed: int = 1) -> Any:
    """The model with every weight drawn, so that what starts at zero or one hides nothing."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))
    return model.eval()


def outputs_of(blocks: nn.ModuleList) -> list[Tensor]:
    """What each block of a library's model gives in its next forward pass."""
    said: list[Tensor] = []
    for block in blocks:
        block.register_forward_hook(lambda block, given, tokens: said.append(tokens))
    return said


def as_map(tokens: Tensor, grid: tuple[int, int], prefix: int = 1) -> Tensor:
    return tokens[:, prefix:].transpose(1, 2).unflatten(2, grid)


def scene(height: int, width: int, bands: tuple[str, ...] = BAND_SETS["s2_13"]) -> Images:
    draw = torch.Generator().manual_seed(0)
    return Images(0.3 * torch.rand(2, len(bands), height, width, generator=draw), bands, "reflectance")


def build(name: str, file: Path | None = None, **options: Any) -> Any:
    return REGISTRY.build("teacher", name, options={"file": file and str(file), **options})


def saved(content: Any, folder: Path) -> Path:
    torch.save(content, folder / "own.pth")
    return folder / "own.pth"


def in_cache(name: str, content: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A file where huggingface_hub keeps this teacher's weights; its path and the start of its checksum."""
    facts = REGISTRY.get("teacher", name).facts
    repository, _, revision = str(facts["weights"]).removeprefix("hub:").partition("@")
    path = folder / f"models--{repository.replace('/', '--')}" / "snapshots" / revision / str(facts["filename"])
    path.parent.mkdir(parents=True)
    torch.save(content, path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()[:8]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for family, name in SMALLEST.items():
        monkeypatch.setattr(REGISTRY.load("teacher", name), "overrides", TINY[family])
    yield
