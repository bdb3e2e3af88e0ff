"""Any model of timm's: its features are the library's own, its weights load by the path of a run, wrong ones do not."""

from __future__ import annotations

import pickle

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from deo_bench import weights
from deo_bench.errors import MissingInput, UserError
from deo_bench.teachers._pyramid import TimmPyramid
from deo_bench.teachers._vit import TimmVit
from tests.contract.backbones import REGISTRY, images

VIT = {"embed_dim": 48, "num_heads": 3}
SWIN = {"embed_dim": 12, "num_heads": (1, 2, 2, 4), "depths": (1, 1, 2, 1)}
MODELS = {  # which of timm's, what makes it small, how it takes images of any size
    "vit_tiny_patch16_224.augreg_in21k": (TimmVit, VIT, "dynamic_img_size"),
    "vit_base_patch16_siglip_224.webli": (TimmVit, VIT, "dynamic_img_size"),
    "deit_tiny_distilled_patch16_224.fb_in1k": (TimmVit, VIT, "dynamic_img_size"),
    "eva02_tiny_patch14_224.mim_in22k": (TimmVit, VIT, "dynamic_img_size"),
    "resnet18.a1_in1k": (TimmPyramid, {"layers": (1, 1, 1, 1), "channels": (8, 12, 16, 24)}, None),
    "convnext_atto.d2_in1k": (TimmPyramid, {"dims": (8, 12, 16, 24), "depths": (1, 1, 2, 1)}, None),
    "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k": (TimmPyramid, SWIN, "dynamic_img_size"),
    "swinv2_tiny_window8_256.ms_in1k": (TimmPyramid, SWIN, "dynamic_img_size"),
}
RESNET = "resnet18.a1_in1k"


@pytest.fixture(autouse=True)
def small(request, monkeypatch):
    """The architecture of the test's model made small, of a ResNet where it has none."""
    model = getattr(request.node, "callspec", None)
    model = model.params.get("model", RESNET) if model else RESNET
    for family in (TimmVit, TimmPyramid):
        monkeypatch.setattr(family, "overrides", MODELS[model][1] if family is MODELS[model][0] else {})


def reference(model, classes=0):
    _, small, sizes = MODELS[model]
    torch.manual_seed(1)
    made = timm.create_model(model, num_classes=classes, **small, **({sizes: True} if sizes else {})).eval()
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if value.is_floating_point():
                drawn = 0.2 * torch.randn_like(value)
                value.copy_(drawn.abs() + 0.5 if "running_var" in name or name.endswith("weight_scale") else drawn)
    return made


def build(model, file=None, **options):
    return REGISTRY.build("teacher", "timm", options={"model": model, "file": file and str(file), **options})


@torch.no_grad()
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_features_are_those_of_the_library(model, normed, tmp_path):
    known = reference(model)
    save_file(known.state_dict(), tmp_path / "own.safetensors")
    teacher = build(model, tmp_path / "own.safetensors", normed=normed)
    is_vit = MODELS[model][0] is TimmVit
    numbers = [number - (0 if is_vit else 1) for number in teacher.levels.values()]
    cell = 16 if is_vit and "patch16" in model else 14 if is_vit else 32
    for height, width in ((2 * cell, 2 * cell), (2 * cell, 3 * cell)):
        batch = images(height, width)
        pixels = teacher.prepare(batch)
        last, maps = known.forward_intermediates(pixels, indices=numbers, norm=normed)
        said = teacher(batch, levels=("early", "mid", "late"))
        for level, expected in zip(("early", "mid", "late"), maps, strict=True):
            torch.testing.assert_close(said.get(level), expected, atol=1e-5, rtol=1e-5)
            assert teacher.width(level) == expected.shape[1] and height // teacher.stride(level) == expected.shape[2]
        if is_vit:
            tokens = known.forward_features(pixels)
            torch.testing.assert_close(tokens, last, atol=1e-5, rtol=1e-5)
            cells = tokens[:, known.num_prefix_tokens :].mean(1)
            torch.testing.assert_close(said.get("mean"), cells, atol=1e-5, rtol=1e-5)
            if known.cls_token is not None:
                torch.testing.assert_close(said.get("cls"), tokens[:, 0], atol=1e-5, rtol=1e-5)
        else:
            torch.testing.assert_close(said.get("mean"), known(pixels), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("model", MODELS)
def test_half_precision_runs(model, tmp_path):
    teacher = REGISTRY.build("teacher", "timm", False, options={"model": model})
    batch = images(96, 64)
    exact = teacher(batch, levels=("mid", "late"))
    half = teacher.bfloat16()(type(batch)(batch.pixels.bfloat16(), batch.bands, batch.unit), levels=("mid", "late"))
    for place in [*exact.pooled, *exact.maps]:
        apart = (half.get(place).float() - exact.get(place)).abs().mean()
        assert half.get(place).dtype == torch.bfloat16 and apart < 0.2 * exact.get(place).std(), place


@pytest.mark.parametrize(
    ("model", "default", "levels"),
    [
        ("vit_tiny_patch16_224.augreg_in21k", "cls", [5, 8, 11]),
        ("vit_base_patch16_siglip_224.webli", "mean", [5, 8, 11]),
        ("resnet18.a1_in1k", "mean", [3, 4, 5]),
        ("convnext_atto.d2_in1k", "mean", [2, 3, 4]),
    ],
)
def test_pooling_levels_and_normalisation_are_the_familys(model, default, levels):
    teacher = REGISTRY.build("teacher", "timm", False, options={"model": model})
    config = timm.models.get_pretrained_cfg(model)
    assert teacher.default == default and list(teacher.levels.values()) == levels
    normalisation = teacher.normalisations["rgb"]
    assert (normalisation.unit, normalisation.mean, normalisation.std) == ("display", config.mean, config.std)
    other = REGISTRY.build("teacher", "timm", False, options={"model": model, "levels": [1, 2, 3], "white": 0.5})
    assert list(other.levels.values()) == [1, 2, 3] and other.normalisations["rgb"].white == 0.5


@pytest.mark.parametrize("model", [RESNET, "vit_tiny_patch16_224.augreg_in21k", "convnext_atto.d2_in1k"])
def test_a_published_file_loads_without_its_classifier(model, tmp_path, monkeypatch):
    state = reference(model, classes=10).state_dict()
    folder = tmp_path / f"models--timm--{model}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file(state, folder / "snapshots" / ("0" * 40) / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    loaded = build(model).backbone.model.state_dict()
    assert set(loaded) < set(state) and all(loaded[name].equal(state[name]) for name in loaded)
    found = weights.locate(REGISTRY.get("teacher", "timm"), {"model": model})
    assert found.path is not None and found.path.parts[-4] == f"models--timm--{model}"


def broken(kind, path):
    state = reference(RESNET).state_dict()
    if kind == "wrong shape":
        state["layer1.0.conv1.weight"] = torch.zeros(9, 8, 3, 3)
    elif kind == "a name lacks":
        del state["layer4.0.conv2.weight"]
    elif kind == "a name more":
        state["layer9.weight"] = torch.zeros(2)
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "code":
        path.write_bytes(pickle.dumps({"model": print}, protocol=2))
    return path


@pytest.mark.parametrize(
    ("kind", "filename", "told"),
    [
        ("wrong shape", "w.safetensors", r"layer1.0.conv1.weight has shape \(9, 8, 3, 3\)"),
        ("a name lacks", "w.safetensors", "lacks layer4.0.conv2.weight"),
        ("a name more", "w.pth", "has layer9.weight"),
        ("truncated", "w.safetensors", "not a whole safetensors file"),
        ("truncated", "w.pth", "cannot be read as weights"),
        ("code", "w.pth", "pickled objects or code"),
    ],
)
def test_what_is_not_whole_or_not_ours_is_refused_in_one_line(kind, filename, told, tmp_path):
    path = broken(kind, tmp_path / filename)
    with pytest.raises(UserError, match=told) as refused:
        build(RESNET, path)
    assert filename in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet55.a1_in1k", "nearest are resnet.*a1_in1k"),
        ("resnet18", "'resnet18'; the nearest are resnet18.tv_in1k"),
        ("convnext_tiny.dinov3", "nearest are convnext_tiny"),
        ("zzz", r"timm.list_models\(pretrained=True\)"),
        ("beit_base_patch16_224.in22k_ft_in22k", "images of one size only"),
        ("vit_medium_patch16_clip_224.tinyclip_yfcc15m", "hf download timm/vit_medium"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(name, told, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(TimmPyramid, "overrides", {})
    with pytest.raises(UserError, match=told) as refused:
        build(name)
    assert "\n" not in str(refused.value)


def test_the_weights_that_an_option_names_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    found = weights.locate(REGISTRY.get("teacher", "timm"), {"model": RESNET})
    assert found.missing and f"hf download timm/{RESNET} model.safetensors" in found.remedy
    assert "timm/vit_base_patch16_224.augreg_in21k" in weights.look(REGISTRY.get("teacher", "timm")).remedy
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingInput, match=f"hf download timm/{RESNET}"):
        build(RESNET)


def test_with_a_file_the_architecture_is_name_enough(tmp_path):
    save_file(reference(RESNET).state_dict(), tmp_path / "own.safetensors")
    assert build("resnet18", tmp_path / "own.safetensors").pooled_dims == {"mean": 24}
