"""Swin transformers as students are timm's behind our stem, at any size of image."""

from __future__ import annotations

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer

from deo_bench.errors import UserError
from tests.contract.backbones import SMALL, images, small_student


def reference(student):
    """timm's own model with the student's weights and its RGB stem as patch embedding."""
    model = SwinTransformer(
        img_size=64,
        num_classes=0,
        global_pool="",
        embed_dim=12,
        depths=(1, 2, 1, 1),
        num_heads=(1, 2, 4, 8),
        strict_img_size=False,
    )
    names = {"stages.": "layers.", "patch_norm.": "patch_embed.norm.", "stem.project.rgb.": "patch_embed.proj."}
    state = {}
    for key, value in student.state_dict().items():
        for ours, theirs in names.items():
            key = theirs + key.removeprefix(ours) if key.startswith(ours) else key
        state[key] = value
    model.load_state_dict({key: value for key, value in state.items() if key in model.state_dict()})
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", ["swin_tiny", "swin_base"])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_features_are_those_of_the_library(name, normed, size):
    student = small_student(name, normed=normed).eval()
    batch, levels = images(*size), ("stage_1", "early", "mid", "late")
    cells, maps = reference(student).forward_intermediates(student.prepare(batch, "rgb"), norm=normed)
    said = student(batch, "rgb", levels=levels)
    torch.testing.assert_close(said.get("mean"), cells.mean((1, 2)), atol=1e-5, rtol=1e-5)
    for level, expected in zip(levels, maps, strict=True):
        torch.testing.assert_close(said.get(level), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("window", [7, 12])
@pytest.mark.parametrize("side", [48, 96, 224])
def test_windows_of_any_size_meet_images_of_any_size(window, side):
    student = small_student("swin_tiny", window=window, size=224).eval()
    said = student(images(side, side, count=1), levels=("mid", "late"))
    assert said.get("mid").shape == (1, 48, side // 16, side // 16)
    assert said.get("late").shape == (1, 96, -(-side // 32), -(-side // 32))
    assert said.get("late").isfinite().all()


def torchvisions(student, window):
    """torchvision's own Swin with the student's weights after the stem, which DEO deletes (FACTS 1.4)."""
    swin = pytest.importorskip("torchvision.models.swin_transformer")
    model = swin.SwinTransformer([4, 4], 12, [1, 2, 2, 1], [1, 2, 4, 8], [window, window], stochastic_depth_prob=0.0)
    state = student.state_dict()
    mapped = {"norm.weight": state["norm.weight"], "norm.bias": state["norm.bias"]}
    for key, value in state.items():
        if not key.startswith("stages.") or key.endswith("relative_position_index"):
            continue
        _, stage, rest = key.split(".", 2)
        if rest.startswith("downsample."):
            name = f"features.{2 * int(stage)}.{rest.removeprefix('downsample.')}"
        else:
            name = f"features.{2 * int(stage) + 1}.{rest.removeprefix('blocks.')}"
            name = name.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")
        mapped[name] = value
    missing = model.load_state_dict(mapped, strict=False)
    assert not missing.unexpected_keys
    assert all(key.startswith(("features.0", "head")) or "position_index" in key for key in missing.missing_keys)
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("side", [32, 96, 128, 224])
def test_torchvisions_order_of_padding_and_shifting(side):
    """Grids of 8 to 56 cells under windows of 3: most of them padded, the smallest within one window."""
    settings = {"window": 3, "size": 96, "depths": [1, 2, 2, 1], "patch_norm": False}
    student = small_student("swin_tiny", padding="torchvision", **settings).eval()
    cells = student.embed(student.prepare(images(side, side, count=2), "rgb"), "rgb")
    model, taps = torchvisions(student, 3), {}
    values = cells
    for number, layer in enumerate(model.features):
        values = layer(values) if number else cells
        taps[number] = values
    said = student.trunk(cells, ("stage_1", "early", "mid", "late"))
    for level, number in {"stage_1": 1, "early": 3, "mid": 5, "late": 7}.items():
        torch.testing.assert_close(said.get(level), taps[number].permute(0, 3, 1, 2), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said.get("mean"), model.norm(values).mean((1, 2)), atol=1e-5, rtol=1e-4)
    timms = small_student("swin_tiny", **settings).eval()
    timms.load_state_dict(student.state_dict())
    differs = not torch.allclose(timms.trunk(cells, ("late",)).get("late"), said.get("late"), atol=1e-4)
    assert differs == (side != 96), "at 96 pixels windows of 3 divide every grid"


def test_deos_taps_are_the_last_two_stages():
    student = small_student("swin_tiny")
    assert student.levels == {"early": 2, "mid": 3, "late": 4}
    assert [student.stride(f"stage_{stage}") for stage in (1, 2, 3, 4)] == [4, 8, 16, 32]
    assert [student.width(f"stage_{stage}") for stage in (1, 2, 3, 4)] == [12, 24, 48, 96]


def test_the_stems_own_norms_can_stand_for_the_shared_one():
    """As in DEO: a LayerNorm in each stem and none after them."""
    student = small_student("swin_tiny", patch_norm=False)
    assert not list(student.patch_norm.parameters())


def test_what_does_not_fit_is_said():
    with pytest.raises(UserError, match="patch 4 does not divide images of 30 x 32"):
        small_student("swin_tiny")(images(30, 32))
    with pytest.raises(UserError, match="a stage each"):
        small_student("swin_tiny", depths=[1, 1])
    with pytest.raises(UserError, match="has no 'stage_5'"):
        small_student("swin_tiny").stride("stage_5")
    assert SMALL["swin"]["size"] == 64
