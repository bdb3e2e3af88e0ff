"""Vision transformers as students are timm's behind our stem."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from deo_bench.errors import UserError
from tests.contract.backbones import images, small_student


def reference(student, patch=16):
    """timm's own model with the student's weights and its RGB stem as patch embedding."""
    pooling = student.default
    model = VisionTransformer(
        img_size=32,
        patch_size=patch,
        num_classes=0,
        global_pool="",
        embed_dim=24,
        depth=student.depth,
        num_heads=3,
        class_token=pooling == "cls",
        no_embed_class=True,
        dynamic_img_size=True,
    )
    names = {"positions": "pos_embed", "class_token": "cls_token"}
    state = {names.get(key, key): value for key, value in student.state_dict().items()}
    rgb = "stem.project.rgb."
    state |= {key.replace(rgb, "patch_embed.proj."): value for key, value in state.items() if key.startswith(rgb)}
    kept = {key: value for key, value in state.items() if not key.startswith("stem.") and key != "mask_token"}
    model.load_state_dict(kept)
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", ["vit_nano", "vit_tiny"])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (48, 32)])
def test_features_are_those_of_the_library(name, normed, size):
    student = small_student(name, normed=normed).eval()
    model = reference(student, student.patch)
    batch, levels = images(*size), ("early", "mid", "late", "block_2")
    pixels, numbers = student.prepare(batch, "rgb"), [student._block(level) for level in levels]
    tokens, maps = model.forward_intermediates(pixels, indices=sorted(set(numbers)), norm=normed)
    found = dict(zip(sorted(set(numbers)), maps, strict=True))
    said = student(batch, "rgb", levels=levels)
    prefix = model.num_prefix_tokens
    torch.testing.assert_close(said.get("mean"), tokens[:, prefix:].mean(1), atol=1e-5, rtol=1e-5)
    if prefix:
        torch.testing.assert_close(said.get("cls"), tokens[:, 0], atol=1e-5, rtol=1e-5)
    for level, number in zip(levels, numbers, strict=True):
        torch.testing.assert_close(said.get(level), found[number], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_class_token_is_in_no_map():
    student, seen = small_student("vit_tiny").eval(), []
    student.blocks[5].register_forward_hook(lambda block, given, tokens: seen.append(tokens))
    cells = student(images(32, 48), levels=("mid",)).get("mid")
    assert seen[0].shape[1] == 1 + 2 * 3
    assert cells.flatten(2).transpose(1, 2).equal(seen[0][:, 1:])


def test_deos_taps_are_the_levels_of_twelve_blocks():
    assert small_student("vit_base").levels == {"early": 2, "mid": 5, "late": 11}
    assert small_student("vit_nano").levels == {"early": 0, "mid": 1, "late": 3}
    assert small_student("vit_nano", levels=[0, 2, 3]).levels["mid"] == 2
    assert small_student("vit_nano", depth=1).levels == {"early": 0, "mid": 0, "late": 0}
    assert small_student("vit_nano", depth=2).levels == {"early": 0, "mid": 0, "late": 1}


@torch.no_grad()
@pytest.mark.parametrize("side", [24, 48, 64, 224])
def test_any_size_that_the_patch_divides(side):
    student = small_student("vit_nano").eval()
    assert student(images(side, side), levels=("late",)).get("late").shape == (2, 24, side // 8, side // 8)


def test_what_does_not_fit_is_said():
    with pytest.raises(UserError, match="patch 8 does not divide images of 30 x 32"):
        small_student("vit_nano")(images(30, 32))
    with pytest.raises(UserError, match="width 24 is not a multiple of heads 5"):
        small_student("vit_nano", heads=5)
    with pytest.raises(UserError, match="does not fit a grid of 4 x 4"):
        small_student("vit_nano").embed(torch.zeros(1, 10, 32, 32), "s2_10", torch.zeros(1, 3, 3, dtype=torch.bool))


@torch.no_grad()
def test_a_masked_cell_keeps_its_position():
    student = small_student("vit_nano").eval()
    pixels = torch.randn(1, 10, 32, 32)
    tokens = student.embed(pixels, "s2_10", torch.ones(1, 4, 4, dtype=torch.bool))
    expected = student.mask_token + student.positions.view(1, 4, 4, -1)
    torch.testing.assert_close(tokens, expected)
