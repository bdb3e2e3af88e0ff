"""DINOv3's ConvNeXts: the library's features, Meta's final norm, and both forms of file."""

from __future__ import annotations

import re

import pytest
import timm
import torch
from safetensors.torch import save_file

from deo_bench.errors import UserError
from deo_bench.teachers._pyramid import TimmPyramid
from tests.contract.backbones import REGISTRY, images

NAME, SMALL = "dinov3_convnext_tiny", TimmPyramid.narrow


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(TimmPyramid, "overrides", SMALL)


@pytest.fixture
def model():
    torch.manual_seed(1)
    made = timm.create_model(REGISTRY.get("teacher", NAME).facts["architecture"], num_classes=0, **SMALL).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return made


def build(file, **options):
    return REGISTRY.build("teacher", NAME, options={"file": str(file), **options})


@torch.no_grad()
@pytest.mark.parametrize("normed", [True, False])
def test_features_are_those_of_the_library(model, tmp_path, normed):
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    teacher = build(tmp_path / "own.safetensors", normed=normed)
    for height, width in ((64, 64), (64, 96)):
        batch = images(height, width)
        pixels = teacher.prepare(batch)
        last, maps = model.forward_intermediates(pixels, indices=[0, 1, 2, 3], norm=normed)
        said = teacher(batch, levels=("stage_1", "early", "mid", "late"))
        norm = model.head.norm
        # Of each cell, as Meta's code does with the last of its `norms`; by hand, as timm's own leaves it out.
        apart = last - last.mean(1, keepdim=True)
        by_hand = apart / (apart.square().mean(1, keepdim=True) + norm.eps).sqrt()
        by_hand = by_hand * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
        maps[3] = by_hand if normed else maps[3]
        for number, level in enumerate(("stage_1", "early", "mid", "late")):
            torch.testing.assert_close(said.get(level), maps[number], atol=1e-5, rtol=1e-5)
            assert teacher.stride(level) == 4 * 2**number
        pooled = torch.nn.functional.layer_norm(last.mean((2, 3)), norm.weight.shape, norm.weight, norm.bias, norm.eps)
        torch.testing.assert_close(said.get("default"), pooled, atol=1e-5, rtol=1e-5)


def test_metas_names_load(model, tmp_path):
    state = model.state_dict()
    named = {}
    for key, value in state.items():
        key = key.replace("stem.", "downsample_layers.0.").replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        key = re.sub(r"stages\.(\d)\.downsample", r"downsample_layers.\1", key)
        named[key.replace(".blocks.", ".").replace("head.norm", "norm")] = value
    copies = {"norms.3.weight": state["head.norm.weight"], "norms.3.bias": state["head.norm.bias"]}
    torch.save({**named, **copies}, tmp_path / "own.pth")
    loaded = build(tmp_path / "own.pth").model.state_dict()
    assert "stages.1.0.dwconv.weight" in named and all(loaded[key].equal(state[key]) for key in state)


def test_weights_of_another_size_are_refused(model, tmp_path, monkeypatch):
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    monkeypatch.setattr(TimmPyramid, "overrides", {**SMALL, "dims": (12, 16, 24, 56)})
    with pytest.raises(UserError, match=r"own.safetensors: .* has shape"):
        build(tmp_path / "own.safetensors")


@torch.no_grad()
def test_images_are_resized_to_what_the_coarsest_stride_divides(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    teacher = build(tmp_path / "own.safetensors")
    assert teacher(images(33, 64), levels=("late", "early")).get("early").shape[2:] == (8, 8)
    assert build(tmp_path / "own.safetensors", size=128)(images(64, 96), levels=("late",)).get("late").shape[2:] == (
        4,
        6,
    )


def test_levels_are_stages_from_one(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    with pytest.raises(UserError, match="three numbers from 1 to 4"):
        build(tmp_path / "own.safetensors", levels=[0, 1, 2])
    with pytest.raises(UserError, match="has no 'stage_0'"):
        build(tmp_path / "own.safetensors").stride("stage_0")
