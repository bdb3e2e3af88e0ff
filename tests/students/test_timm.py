"""timm's backbones as students: the library's own features from our stem on, whatever the family."""

from __future__ import annotations

import re

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from deo_bench.bands import BAND_SETS
from deo_bench.engine.passes import Views, student_passes
from deo_bench.errors import UserError
from deo_bench.students.timm import Timm
from tests.contract.backbones import BANDS, NORMALISATIONS, REGISTRY, images, small_student

VIT = {"embed_dim": 24, "num_heads": 3, "depth": 4}
SWIN = {"embed_dim": 12, "depths": (1, 2, 1, 1), "num_heads": (1, 2, 3, 4)}
CASES = {
    "vit 8": ("vit_small_patch8_224", {"size": 64}, VIT, 32),
    "vit 14": ("vit_small_patch14_reg4_dinov2", {"size": 56}, VIT, 56),
    "vit 16": ("vit_base_patch16_224", {"size": 64}, VIT, 64),
    "swin 7": ("swin_tiny_patch4_window7_224", {"size": 64}, SWIN, 64),
    "swin 12": ("swin_tiny_patch4_window7_224", {"size": 96, "window": 12}, SWIN, 64),
    "swin-v2 7": ("swinv2_tiny_window8_256", {"size": 64, "window": 7}, SWIN, 64),
    "swin-v2 12": ("swinv2_tiny_window8_256", {"size": 96, "window": 12}, SWIN, 64),
    "resnet": ("resnet18", {}, {}, 64),
    "resnet, deep stem": ("test_resnet", {}, {}, 64),
    "convnext": ("test_convnext", {}, {}, 64),
    "an unchecked family": ("test_efficientnet", {}, {}, 64),
}


@pytest.fixture(params=CASES)
def case(request, monkeypatch):
    model, options, overrides, side = CASES[request.param]
    monkeypatch.setattr(Timm, "overrides", overrides)
    return model, options, overrides, side


def students(case, **more):
    model, options, _, _ = case
    return small_student("timm", model=model, **{**options, **more})


def library(student, case):
    """timm's own model with the student's weights and its RGB stem as first layer."""
    model, options, overrides, _ = case
    given = {"img_size": options.get("size"), "window_size": options.get("window"), **overrides}
    if student.family == "vision_transformer":
        given |= {"dynamic_img_size": True, "global_pool": ""}
    elif student.family.startswith("swin"):
        given |= {"strict_img_size": False}
    theirs = timm.create_model(
        model, num_classes=0, **{key: value for key, value in given.items() if value is not None}
    )
    place = theirs.pretrained_cfg["first_conv"]
    weight = student.stem.project["rgb"]
    first = nn.Conv2d(3, weight.out_channels, student.stem.kernel, student.stem.patch, student.stem.padding)
    first.load_state_dict(weight.state_dict())
    theirs.set_submodule(place, first)
    own = {key.removeprefix("engine."): value for key, value in student.state_dict().items()}
    own = {key: value for key, value in own.items() if not key.startswith("stem.project.") and key != "mask_token"}
    missing = theirs.load_state_dict(own, strict=False)
    assert not missing.unexpected_keys and all(key.startswith(place) for key in missing.missing_keys)
    return theirs.eval()


@torch.no_grad()
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("oblong", [1, 2])
def test_features_are_those_of_the_library(case, normed, oblong):
    student, side = students(case, normed=normed).eval(), case[3]
    theirs, batch = library(student, case), images(side, oblong * side)
    values, maps = theirs.forward_intermediates(student.prepare(batch, "rgb"), norm=normed)
    said = student(batch, "rgb", levels=("early", "mid", "late"))
    for level, number in student.levels.items():
        at = number if student.unit == "block" else number - len(student.numbers) - 1
        torch.testing.assert_close(said.get(level), maps[at], atol=1e-5, rtol=1e-5)
        assert said.get(level).shape[1] == student.width(level)
        assert side // said.get(level).shape[2] == student.stride(level)
    if student.unit == "block":
        torch.testing.assert_close(said.get("cls"), values[:, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(said.get("mean"), values[:, theirs.num_prefix_tokens :].mean(1))
    else:
        torch.testing.assert_close(said.get("mean"), theirs(student.prepare(batch, "rgb")), atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_parameter(case):
    student = students(case)
    for sees in BANDS:
        said = student(images(case[3], case[3]), sees, levels=("late",))
        sum(said.get(place).square().mean() for place in (*said.pooled, "late")).backward()
    still = {key for key, value in student.named_parameters() if value.grad is None}
    assert still == {"mask_token"}


def test_levels_are_named_by_family(case):
    student = students(case)
    if student.unit == "block":
        assert student.levels == {"early": 0, "mid": 1, "late": 3}
    else:
        last = len(student.numbers)
        assert student.levels == {"early": last - 2, "mid": last - 1, "late": last}
        assert student.stride(f"stage_{last}") == 32


def test_only_batch_statistics_keep_passes_apart(case, monkeypatch):
    student = students(case)
    assert student.has_batch_statistics == (student.family in ("resnet", "efficientnet"))
    views, passed, trunk = Views(images(case[3], case[3], count=4), 2), [], student.trunk
    monkeypatch.setattr(student, "trunk", lambda tokens, levels: passed.append(len(tokens)) or trunk(tokens, levels))
    both = student_passes(student.train(), views, list(BANDS), {})
    assert passed == ([4, 4] if student.has_batch_statistics else [8])
    alone = student(views.images, "rgb").get("mean")
    torch.testing.assert_close(both["rgb"].features.get("mean"), alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("model", "sides"), [("resnet18", (24, 34, 96)), ("test_convnext", (32, 48, 100))])
def test_sizes_that_a_convolutional_network_takes(model, sides):
    student = small_student("timm", model=model).eval()
    for side in sides:
        late = student(images(side, side), levels=("late",)).get("late")
        assert late.shape[-1] == (-(-side // 32) if model == "resnet18" else side // 32)


@torch.no_grad()
def test_a_files_weights_start_a_student(tmp_path):
    theirs = timm.create_model("test_resnet", num_classes=7)
    save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    loaded = Timm(dual, BANDS, NORMALISATIONS, model="test_resnet", file=tmp_path / "weights.safetensors")
    assert loaded.engine.layer4[0].conv1.weight.equal(theirs.layer4[0].conv1.weight)
    pixels = torch.randn(2, 3, 64, 64)
    expected = theirs.eval().forward_features(pixels).mean((2, 3))
    torch.testing.assert_close(loaded.eval().extract(pixels, "rgb", ()).get("mean"), expected, atol=1e-5, rtol=1e-5)
    ten = loaded.stem.project["s2_10"].weight
    torch.testing.assert_close(ten.sum(1), theirs.conv1[0].weight.sum(1), atol=1e-6, rtol=1e-5)
    red = BAND_SETS["s2_10"].index("B04")
    torch.testing.assert_close(ten[:, red], 0.3 * theirs.conv1[0].weight[:, 0])


def dual(*sides):
    return REGISTRY.build("stem", "dual", BANDS, *sides)


def test_a_positions_file_of_another_size_is_resampled(tmp_path, monkeypatch):
    monkeypatch.setattr(Timm, "overrides", VIT)
    theirs = timm.create_model("vit_small_patch16_224", img_size=96, **VIT)
    save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    student = small_student("timm", model="vit_small_patch16_224", size=64, file=str(tmp_path / "weights.safetensors"))
    assert student.engine.pos_embed.shape == (1, 17, 24)


@pytest.mark.parametrize("broken", ["truncated", "pickled", "another model's", "missing"])
def test_a_file_that_is_not_the_models_is_one_line(tmp_path, broken):
    path = tmp_path / "weights.safetensors"
    if broken == "pickled":
        torch.save({"a": torch.zeros(1)}, path)
    elif broken != "missing":
        save_file(timm.create_model("test_convnext").state_dict(), path)
        if broken == "truncated":
            path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=re.escape(str(path))) as told:
        small_student("timm", file=str(path))
    assert "\n" not in str(told.value)


REFUSED = {
    "no model 'resnet1888', did you mean 'resnet18'": {"model": "resnet1888"},
    "cannot take other bands: vision transformers of this kind": {"model": "vit_small_patch16_dinov3"},
    "cannot take other bands: conv_stem is padded in a way of its own": {"model": "tf_efficientnet_b0"},
    "cannot take other bands: its first layer is not one convolution": {"model": "fastvit_t8"},
    "cannot take other bands: it does not run at 64 and 96 pixels": {"model": "test_maxvit"},
    "is made for no size of image": {"model": "resnet18", "size": 64},
    "has no windows": {"model": "vit_tiny_patch16_224", "window": 7},
    "levels: expected three numbers from 1 to 4": {"model": "test_resnet", "levels": [0, 1, 2]},
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_cannot_be_built_is_said(told):
    with pytest.raises(UserError, match=re.escape(told)):
        small_student("timm", **REFUSED[told])


@pytest.mark.parametrize(
    ("model", "side", "told"),
    [
        ("test_resnet", 33, "stride 2 of 'test_resnet' does not divide images of 33 x 33"),
        ("test_convnext", 16, "'test_convnext' needs 32 pixels a side, and images are 16 x 16"),
        ("test_vit", 40, "stride 16 of 'test_vit' does not divide images of 40 x 40"),
    ],
)
def test_images_that_do_not_fit_are_said(model, side, told):
    with pytest.raises(UserError, match=told):
        small_student("timm", model=model)(images(side, side))
