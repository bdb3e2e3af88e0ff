"""A file of another's in one of timm's architectures: any layout of names, any bands; what does not fit is told."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from deo_bench import weights
from deo_bench.data import Places
from deo_bench.errors import MissingInput, UserError
from deo_bench.experiments.subjects import shown_sets
from deo_bench.features import Images
from deo_bench.recipe.identity import Identifier
from deo_bench.recipe.models import PartTable
from deo_bench.teachers._pyramid import TimmPyramid
from deo_bench.teachers._vit import TimmVit
from tests.contract.backbones import BANDS, REGISTRY, images

VIT = {"embed_dim": 48, "num_heads": 3, "depth": 4}
SWIN = {"embed_dim": 12, "num_heads": (1, 2, 2, 4), "depths": (1, 1, 2, 1)}
RESNET = {"layers": (1, 1, 1, 1), "channels": (8, 12, 16, 24)}
MODELS = {
    "vit_base_patch16_224": (TimmVit, VIT, {"dynamic_img_size": True}),
    "resnet50": (TimmPyramid, RESNET, {}),
    "swin_base_patch4_window7_224": (TimmPyramid, SWIN, {"dynamic_img_size": True}),
}
VIT16, S2 = "vit_base_patch16_224", {"bands": "s2_10", "unit": "dn", "mean": 1000.0, "std": 500.0}
DEO = {"key": "teacher", "prefix": "module.backbone."}


@pytest.fixture(autouse=True)
def small(request, monkeypatch):
    model = getattr(request.node, "callspec", None)
    model = model.params.get("model", VIT16) if model else VIT16
    for family in (TimmVit, TimmPyramid):
        monkeypatch.setattr(family, "overrides", MODELS[model][1] if family is MODELS[model][0] else {})


def reference(model=VIT16, channels=3, classes=0, **more):
    _, small, sizes = MODELS[model]
    torch.manual_seed(1)
    made = timm.create_model(model, num_classes=classes, in_chans=channels, **{**small, **sizes, **more}).eval()
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if value.is_floating_point():
                drawn = 0.2 * torch.randn_like(value)
                value.copy_(drawn.abs() + 0.5 if "running_var" in name else drawn)
    return made


def build(path, model=VIT16, **more):
    return REGISTRY.build("teacher", "checkpoint", options={"file": str(path), "model": model, **more})


def saved(path, state):
    save_file(dict(state), path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@torch.no_grad()
@pytest.mark.parametrize("channels", [3, 10])
@pytest.mark.parametrize("model", MODELS)
def test_features_are_those_of_the_library(model, channels, tmp_path):
    known = reference(model, channels)
    path = saved(tmp_path / "own.safetensors", known.state_dict())
    for normed in (True, False):
        teacher = build(path, model, normed=normed, **(S2 if channels == 10 else {}))
        is_vit = MODELS[model][0] is TimmVit
        numbers = [number - (0 if is_vit else 1) for number in teacher.levels.values()]
        for height, width in ((64, 64), (64, 96)):
            batch = images(height, width)
            pixels = teacher.prepare(batch)
            last, maps = known.forward_intermediates(pixels, indices=numbers, norm=normed)
            said = teacher(batch, levels=("early", "mid", "late"))
            for level, expected in zip(("early", "mid", "late"), maps, strict=True):
                torch.testing.assert_close(said.get(level), expected, atol=1e-5, rtol=1e-5)
            if is_vit:
                torch.testing.assert_close(said.get("cls"), known.forward_features(pixels)[:, 0], atol=1e-5, rtol=1e-5)
                torch.testing.assert_close(said.get("mean"), last[:, 1:].mean(1), atol=1e-5, rtol=1e-5)
            else:
                torch.testing.assert_close(said.get("mean"), known(pixels), atol=1e-5, rtol=1e-5)
        half = teacher.bfloat16()(replace(batch, pixels=batch.pixels.bfloat16()))
        assert half.get("default").isfinite().all() and not half.get("default").requires_grad


@pytest.mark.parametrize(
    ("options", "first", "second", "sees"),
    [
        ({"bands": ["B08", "blue"], "unit": "dn", "mean": [1000.0, 500.0], "std": [500.0, 250.0]}, 2.0, 6.0, "own"),
        ({"bands": ["B02", "B08"], "unit": "reflectance", "mean": 0.1, "std": 0.1}, 1.0, 1.0, "own"),
        ({"bands": ["nir", "B02"], "unit": "uint8", "mean": 0.0, "std": 255.0, "white": 0.4}, 0.5, 0.5, "own"),
        ({"bands": ["B04", "B03", "B02"], "unit": "dn", "mean": 0.0, "std": 1000.0}, 0.0, 0.0, "rgb"),
    ],
)
def test_bands_unit_and_scale_are_the_files(options, first, second, sees, tmp_path):
    """Worked out by hand: B02 and B08 are 0.2 in reflectance, 2,000 in digital numbers, all others nothing."""
    path = saved(tmp_path / "own.pth", reference(channels=len(options["bands"])).state_dict())
    teacher = build(path, **options)
    bands = BANDS["s2_10"]
    pixels = torch.zeros(1, 10, 16, 16)
    for band in ("B02", "B08"):
        pixels[:, bands.index(band)] = 0.2
    found = teacher.prepare(Images(pixels, bands, "reflectance"))[0, :, 0, 0].tolist()
    assert teacher.first == sees and found[:2] == pytest.approx([first, second])
    if sees == "rgb":
        assert found[2] == pytest.approx(2.0)


def test_rgb_as_shown_is_normalised_as_imagenet_and_all_else_has_to_be_said(tmp_path):
    teacher = build(saved(tmp_path / "own.pth", reference().state_dict()), white=0.5)
    known = teacher.normalisations["rgb"]
    assert (known.unit, known.mean, known.white) == ("display", (0.485, 0.456, 0.406), 0.5)
    for options, told in (
        ({"unit": "dn"}, "say mean and std"),
        ({"bands": "s2_10", "mean": 0.0}, "say mean and std"),
        ({**S2, "mean": [1.0, 2.0]}, "mean: 2 numbers for 10 bands"),
        ({**S2, "std": 0.0}, "std: has to be above 0"),
        ({"bands": "s2_11"}, "unknown band set 's2_11'"),
        ({"bands": ["B02", "blue"]}, "expected each band once"),
        ({"model": "vit_bse_patch16_224"}, "timm has no architecture 'vit_bse_patch16_224'"),
        ({"settings": {"in_chans": 4}}, "in_chans is not yours to set"),
        ({"settings": {"no_such": 4}}, "timm does not make vit_base_patch16_224 with"),
    ):
        with pytest.raises(UserError, match=told) as refused:
            build(tmp_path / "own.pth", **options)
        assert "\n" not in str(refused.value)


def head(prefix):
    return {f"{prefix}mlp.0.weight": torch.zeros(3, 3), f"{prefix}mlp.0.bias": torch.zeros(3)}


def laid_out(form, state, folder):
    """The same weights as others save them: the file, and the options that read it."""
    backbone = {f"module.backbone.{name}": value for name, value in state.items()}
    if form == "deo":
        both = {"teacher": {**backbone, **head("module.head.")}, "student": {"other": torch.zeros(1)}, "epoch": 3}
        return saved(folder / "own.pth", {**both, "args": Namespace(lr=0.1)}), DEO
    if form == "moco":
        named = {f"encoder_q.{name}": value for name, value in state.items()}
        return saved(folder / "own.pth", {"state_dict": {**named, "queue": torch.zeros(3)}}), {"prefix": "encoder_q."}
    if form == "nested deeper":
        return saved(folder / "own.pth", {"ema": {"net": state}, "model": {"x": torch.zeros(1)}}), {"key": "ema.net"}
    if form == "mae":
        more = {"mask_token": torch.zeros(1), "decoder_pred.weight": torch.zeros(3)}
        return saved(folder / "own.pth", {"model": {**state, **more}}), {"drop": ["mask_token", "decoder_"]}
    if form == "folder":
        (folder / "hub").mkdir()
        saved(folder / "hub" / "model.safetensors", state)
        return folder / "hub", {}
    name = "own.safetensors" if form == "safetensors" else "own.pth"
    return saved(folder / name, {**state, **{f"head.{part}": torch.zeros(5, 48) for part in ("weight",)}}), {}


@pytest.mark.parametrize("form", ["safetensors", "classifier", "deo", "moco", "nested deeper", "mae", "folder"])
def test_each_layout_of_names_loads(form, tmp_path):
    state = reference().state_dict()
    path, options = laid_out(form, state, tmp_path)
    loaded = build(path, **options).backbone.model.state_dict()
    assert loaded.keys() == state.keys() and all(loaded[name].equal(state[name]) for name in state)
    assert weights.locate(REGISTRY.get("teacher", "checkpoint"), {"file": str(path)}).path.is_file()


@torch.no_grad()
def test_timms_arguments_are_settings(tmp_path):
    known = reference(img_size=96, class_token=False, global_pool="avg", fc_norm=False)
    path = saved(tmp_path / "own.pth", known.state_dict())
    teacher = build(path, settings={"img_size": 96, "class_token": False})
    pixels = teacher.prepare(images(96, 96))
    assert teacher.pooled_dims == {"mean": 48} and teacher.backbone.model.pos_embed.shape[1] == 36
    expected = known.forward_features(pixels).mean(1)
    torch.testing.assert_close(teacher(images(96, 96)).get("mean"), expected, atol=1e-5, rtol=1e-5)


def wrong(kind, folder):
    """A file that does not fit, and the options given with it."""
    state = dict(reference().state_dict())
    if kind == "no final norm":
        del state["norm.weight"], state["norm.bias"]
    elif kind == "a layer more":
        state["blocks.0.ls1.gamma"] = torch.zeros(48)
    elif kind == "shape":
        state["blocks.0.norm1.weight"] = torch.zeros(7)
    elif kind == "channels":
        state["patch_embed.proj.weight"] = torch.zeros(48, 13, 16, 16)
    elif kind in ("no prefix", "other prefix"):
        state = {f"module.backbone.{name}": value for name, value in state.items()}
    elif kind == "foreign":
        state = {"layer.weight": torch.zeros(3)}
    elif kind == "code":
        state = {"model": Runs(folder / "ran")}
    options = {"other prefix": {"prefix": "encoder."}, "key": {"key": "ema"}, "channels": {"bands": "rgb"}}
    path = saved(folder / "wrong.pth", state)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path, options.get(kind, {})


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("no final norm", r"it lacks norm.bias and 1 more; say prefix"),
        ("a layer more", r"it has blocks.0.ls1.gamma; say prefix"),
        ("shape", r"blocks.0.norm1.weight has shape \(7,\), this architecture wants \(48,\)"),
        ("channels", r"patch_embed.proj.weight takes 13 channels, and bands names 3"),
        (
            "no prefix",
            r"lacks blocks.0.attn.\S+ and \d+ more and has module.backbone.\S+ .*set prefix = 'module.backbone.'",
        ),
        ("other prefix", r"set prefix = 'module.backbone.'"),
        (
            "foreign",
            r"lacks blocks.0.attn.\S+ and \d+ more and has layer.weight; say prefix, drop, key, or another model",
        ),
        ("key", r"holds nothing under key = 'ema'; at that place it has cls_token"),
        ("code", "pickled objects or code"),
        ("truncated", "cannot be read as weights"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(kind, told, tmp_path):
    path, options = wrong(kind, tmp_path)
    with pytest.raises(UserError, match=told) as refused:
        build(path, **options)
    assert "wrong.pth" in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_names_left_out_are_counted(tmp_path):
    path, options = laid_out("deo", {**reference().state_dict(), "extra": torch.zeros(1)}, tmp_path)
    with pytest.raises(UserError, match=r"it has extra \(2 more were left out\)"):
        build(path, **options)


def test_a_file_is_asked_for_before_anything_starts(tmp_path):
    found = weights.locate(REGISTRY.get("teacher", "checkpoint"), {})
    assert found.missing and "name its weights, file = PATH" in found.remedy
    with pytest.raises(MissingInput, match="name its weights, file = PATH"):
        REGISTRY.build("teacher", "checkpoint")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingInput, match="empty' is not there"):
        build(tmp_path / "empty")


def test_the_files_content_is_who_it_is(tmp_path):
    def identity(path: Path) -> tuple[str, str]:
        given = REGISTRY.options("teacher", "checkpoint", {"file": str(path)}, "teachers.t")
        known, table = Identifier(REGISTRY, Places.of(tmp_path)), PartTable(use="checkpoint", options=given)
        return str(known.teacher(table)), str(known._options("teacher", table)["file"])

    state = reference().state_dict()
    path, _ = laid_out("folder", state, tmp_path)
    assert identity(path) == identity(saved(tmp_path / "same.safetensors", state))
    assert identity(path) != identity(saved(tmp_path / "other.safetensors", {**state, "x": torch.zeros(1)}))


def test_the_untrained_control_sees_the_same_bands():
    settings = {"model": VIT16, **S2}
    control = REGISTRY.build("teacher", "random", options={"like": "checkpoint", "settings": settings})
    assert control.first == "s2_10" and control.pooled_dims == {"cls": 48, "mean": 48}
    said = control(images(32, 32)).get("cls")
    assert not torch.allclose(said[0], said[1], atol=1e-4)


def test_the_bands_that_it_is_scored_on_are_its_options():
    def shown(**options):
        return shown_sets(PartTable(use="checkpoint", options=options), REGISTRY)

    assert shown() == ["rgb"] and shown(bands="s2_13") == ["s2_13"]
    assert shown(bands=["blue", "green", "red", "narrow nir", "swir 1", "swir 2"]) == ["hls_6"]
    assert shown_sets(PartTable(use="dinov2_vitb14"), REGISTRY) == ["rgb"]
    with pytest.raises(
        UserError, match=r"bands B02, B08 are no named band set .* can be learnt from, but not be scored"
    ):
        shown(bands=["B02", "nir"])
