"""Students that start from weights in timm's names: the same function, and refused where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError
from deo_bench.normalisation import Normalisation
from deo_bench.registry import Registry
from deo_bench.students import Student

REGISTRY = Registry()
BANDS = {"rgb": BAND_SETS["rgb"]}
BOTH = {"s2_10": BAND_SETS["s2_10"], "rgb": BAND_SETS["rgb"]}
SMALL: dict[str, Any] = {"patch": 8, "width": 24, "depth": 2, "heads": 3, "size": 32}


def built(use: str = "vit_small", stem: str = "single", bands: Any = BANDS, **options: Any) -> Student:
    normalisations = {
        name: Normalisation("reflectance", (0.2,) * len(of), (0.1,) * len(of)) for name, of in bands.items()
    }
    torch.manual_seed(1)
    given = [lambda *sides: REGISTRY.build("stem", stem, bands, *sides), bands, normalisations]
    return REGISTRY.build("student", use, *given, options=options).eval()


def vit(**changes: Any) -> VisionTransformer:
    given = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}
    torch.manual_seed(0)
    model = VisionTransformer(**{**given, **changes}).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "gamma" in name or "token" in name:
                value.normal_()
    return model


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"init_values": 0.1}, {"no_embed_class": True}, {"init_values": 1e-5}])
def test_a_vit_is_the_function_that_it_starts_from(changes: dict[str, Any]) -> None:
    theirs, student, pixels = vit(**changes), built(**SMALL), torch.randn(2, 3, 32, 32)
    told = student.start(theirs.state_dict(), "here")
    wanted = theirs.forward_features(pixels)
    torch.testing.assert_close(student.extract(pixels, "rgb", ()).get("cls"), wanted[:, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        student.extract(pixels, "rgb", ()).get("mean"), wanted[:, 1:].mean(1), atol=1e-5, rtol=1e-5
    )
    scales = ["its layer scales are folded into the layers before them"] if "init_values" in changes else []
    assert told == [*scales, "mask_token as drawn"]


@torch.no_grad()
def test_what_has_no_counterpart_is_said() -> None:
    theirs = vit(reg_tokens=2, no_embed_class=True, img_size=48, patch_size=6, num_classes=0)
    student = built(**SMALL, pooling="mean")
    assert student.start(theirs.state_dict(), "here") == [
        "its registers are left out",
        "its class token is left out",
        "its positions are resampled from 8 x 8 to 4 x 4",
        "its filters are resampled from 6 to 8 pixels",
        "mask_token as drawn",
    ]
    assert torch.equal(student.blocks[1].mlp.fc1.weight, theirs.blocks[1].mlp.fc1.weight)
    assert torch.equal(student.norm.weight, theirs.norm.weight)


@torch.no_grad()
@pytest.mark.parametrize("padding", ["timm", "torchvision"])
def test_a_swin_is_the_function_that_it_starts_from(padding: str) -> None:
    shape = {"depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}
    torch.manual_seed(0)
    theirs = SwinTransformer(img_size=128, embed_dim=12, num_classes=3, **shape).eval()
    options = {"width": 12, "depths": shape["depths"], "heads": shape["num_heads"], "window": 4, "size": 128}
    student, pixels = built("swin_tiny", padding=padding, **options), torch.randn(2, 3, 128, 128)
    assert student.start(theirs.state_dict(), "here") == ["mask_token as drawn"]
    wanted = theirs.forward_features(pixels).mean((1, 2))
    torch.testing.assert_close(student.extract(pixels, "rgb", ()).get("mean"), wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_every_band_set_starts_from_the_filters_of_red_green_and_blue() -> None:
    theirs, student = vit(), built(stem="dual", bands=BOTH, **SMALL)
    student.start(theirs.state_dict(), "here")
    weight = theirs.patch_embed.proj.weight
    assert torch.equal(student.stem.project["rgb"].weight, weight)
    ten = student.stem.project["s2_10"].weight
    torch.testing.assert_close(ten[:, 2], weight[:, 0] * 0.3)  # B04, of the third of ten bands
    torch.testing.assert_close(ten[:, 9], weight.mean(1) * 0.3)
    assert torch.equal(student.stem.project["s2_10"].bias, theirs.patch_embed.proj.bias)


@torch.no_grad()
def test_a_named_model_is_converted_as_timm_does() -> None:
    # Meta's own names of DINOv2, on its grid of 37 x 37 cells.
    name = "vit_small_patch14_dinov2.lvd142m"
    with torch.device("meta"):
        shapes = timm.create_model(name, pretrained=False, num_classes=0).state_dict()
    torch.manual_seed(0)
    state = {key: torch.randn(value.shape) * 0.02 for key, value in shapes.items()} | {
        "mask_token": torch.zeros(1, 384)
    }
    student = built(patch=14, width=384, depth=12, heads=6, size=28)
    told = student.start(state, "here", name)
    assert "its positions are resampled from 37 x 37 to 2 x 2" in told
    gamma = state["blocks.3.ls2.gamma"]
    torch.testing.assert_close(student.blocks[3].mlp.fc2.bias, gamma * state["blocks.3.mlp.fc2.bias"])


def refusals() -> list[tuple[dict[str, Tensor], dict[str, Any], str]]:
    whole, moe = vit().state_dict(), {"use": "vit_moe_nano", **SMALL}
    return [
        ({k: v for k, v in whole.items() if k != "blocks.1.norm1.bias"}, SMALL, "it lacks blocks.1.norm1.bias"),
        ({**whole, "blocks.2.norm1.bias": torch.zeros(24)}, SMALL, "it has blocks.2.norm1.bias"),
        (vit(mlp_ratio=2).state_dict(), SMALL, r"blocks.0.mlp.fc1.weight has shape \(48, 24\), this student wants"),
        (
            vit(in_chans=4).state_dict(),
            SMALL,
            r"patch_embed.proj.weight is \(24, 4, 8, 8\), the student wants 24 filters",
        ),
        ({k: v for k, v in whole.items() if k != "pos_embed"}, SMALL, "it lacks learned positions"),
        (vit(class_token=False, global_pool="avg").state_dict(), SMALL, "it lacks class_token"),
        (vit(pre_norm=True).state_dict(), SMALL, "it has norm_pre.weight"),
        (whole, moe, "it lacks blocks.1.mlp."),
        (timm.create_model("test_resnet").state_dict(), SMALL, "not weights of this student"),
    ]


@pytest.mark.parametrize(("state", "student", "told"), refusals())
def test_another_architecture_is_one_line_and_changes_nothing(state: Any, student: Any, told: str) -> None:
    made = built(**student)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with pytest.raises(UserError, match=told) as error:
        made.start(state, "here.safetensors")
    assert str(error.value).startswith("here.safetensors: ") and "\n" not in str(error.value)
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())


def test_a_model_that_timm_does_not_have_is_one_line() -> None:
    with pytest.raises(
        UserError, match="student.init.model: timm .* has no model 'vit_smal_patch16_224.dino', did you"
    ):
        built(**SMALL).start(vit().state_dict(), "here", "vit_smal_patch16_224.dino")


@torch.no_grad()
def test_an_injecting_student_keeps_its_projections_as_drawn() -> None:
    teacher = REGISTRY.build("teacher", "descriptors").freeze()
    normalisations = {"rgb": Normalisation("reflectance", (0.2,) * 3, (0.1,) * 3)}
    given = [lambda *sides: REGISTRY.build("stem", "single", BANDS, *sides), BANDS, normalisations, teacher]
    student = REGISTRY.build("student", "vit_injected", *given, options=SMALL)
    (told,) = student.start(vit().state_dict(), "here")
    assert told.startswith("mask_token, projections.0.weight")
    assert not student.projections[0].weight.any()
