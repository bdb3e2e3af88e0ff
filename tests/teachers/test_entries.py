"""What the entries of timm's families declare is what timm knows of them, and what their architectures cost."""

from __future__ import annotations

import pytest
import timm
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.contract.backbones import REGISTRY

TEACHERS = REGISTRY.all("teacher")
NAMES = [name for name in TEACHERS if name.startswith("dinov")]
PATCHES = {name: (14 if "v2" in name else 16) for name in NAMES if "convnext" not in name}


def test_the_families_are_whole():
    two = [f"dinov2_vit{size}14{registers}" for size in "sblg" for registers in ("", "_reg4")]
    three = [f"dinov3_vit{size}16" for size in ("s", "splus", "b", "l", "hplus", "7b")]
    convolutional = [f"dinov3_convnext_{size}" for size in ("tiny", "small", "base", "large")]
    assert sorted(NAMES) == sorted([*two, *three, *convolutional, "dinov3_vitl16_sat", "dinov3_vit7b16_sat"])


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_what_timm_says_of_its_weights(name):
    facts = TEACHERS[name].facts
    config = timm.models.get_pretrained_cfg(facts["architecture"])
    assert facts["weights"] == f"hub:{config.hf_hub_id}"
    assert facts["trained_on"] == [{"sat493m": "SAT-493M"}.get(facts["architecture"][-7:], facts["trained_on"][0])]
    assert ("sat493m" in facts["architecture"]) == (facts["trained_on"] == ["SAT-493M"])
    assert facts["licence"].lower().replace(" ", "-") == config.license
    assert tuple(facts.get("mean", (0.485, 0.456, 0.406))) == config.mean
    assert tuple(facts.get("std", (0.229, 0.224, 0.225))) == config.std


@pytest.mark.parametrize("name", NAMES)
def test_it_is_as_large_and_costs_what_is_declared(name):
    """At full size without memory: parameters, multiply-adds of 224 px, the file's size, the grid, prefix tokens."""
    facts = TEACHERS[name].facts
    with torch.device("meta"):
        teacher = REGISTRY.build("teacher", name, False)
        pixels = torch.empty(1, 3, 224, 224)
    parameters = sum(value.numel() for value in teacher.parameters())
    assert round(parameters / 1e6, 1) == facts["parameters"]
    assert round(4 * parameters / 1e6) == facts["megabytes"]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        said = teacher.extract(pixels, "rgb", ("late",))
    assert round(counter.get_total_flops() / 2e9, 1) == facts["gmacs"]
    cells = 224 // PATCHES.get(name, 32)
    assert said.get("late").shape == (1, teacher.width("default"), cells, cells)
    if name in PATCHES:
        depth, prefix = len(teacher.model.blocks), 5 if "v3" in name or "reg4" in name else 1
        assert teacher.model.num_prefix_tokens == prefix
        # DEO's taps are at three quarters and at the end of twelve blocks; early is at half.
        assert facts["levels"] == [depth * share // 4 - 1 for share in (2, 3, 4)]


def test_the_satellite_teachers_bring_their_own_normalisation():
    with torch.device("meta"):
        sat, web = (REGISTRY.build("teacher", name, False) for name in ("dinov3_vitl16_sat", "dinov3_vitl16"))
    assert sat.normalisations["rgb"].mean == (0.43, 0.411, 0.296)
    assert sat.normalisations["rgb"].std == (0.213, 0.156, 0.143)
    assert web.normalisations["rgb"].mean == (0.485, 0.456, 0.406)
