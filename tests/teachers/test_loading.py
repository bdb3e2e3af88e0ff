"""Weights load for real, from each place that they can be in, and what is not whole or not ours is refused."""

from __future__ import annotations

import os
import pickle

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from deo_bench.errors import MissingInput, UserError
from deo_bench.teachers._vit import TimmVit
from tests.contract.backbones import REGISTRY, SMALL_VIT, images

PREFIX = {"dinov2_vitb14": 1, "dinov2_vits14_reg4": 5, "dinov3_vitb16": 5, "dinov3_vitsplus16": 5}
NAMES = list(PREFIX)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(TimmVit, "overrides", SMALL_VIT)


def reference(name, **changes):
    """timm's own model with weights that are not as they were initialised."""
    architecture = REGISTRY.get("teacher", name).facts["architecture"]
    torch.manual_seed(1)
    model = timm.create_model(architecture, num_classes=0, dynamic_img_size=True, **{**SMALL_VIT, **changes}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return model


def build(name, file=None, **options):
    return REGISTRY.build("teacher", name, options={"file": file and str(file), **options})


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@torch.no_grad()
@pytest.mark.parametrize("normed", [True, False])
def test_features_are_those_of_the_library(name, tmp_path, normed):
    model = reference(name)
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    teacher = build(name, tmp_path / "own.safetensors", normed=normed)
    patch = teacher.stride("late")
    for height, width in ((2 * patch, 2 * patch), (2 * patch, 3 * patch)):
        batch = images(height, width)
        pixels = teacher.prepare(batch)
        tokens, maps = model.forward_intermediates(pixels, indices=[2, 5, 8, 11], norm=normed)
        said = teacher(batch, levels=("block_2", "early", "mid", "late"))
        torch.testing.assert_close(said.get("cls"), model.forward_features(pixels)[:, 0], atol=1e-5, rtol=1e-5)
        cells = tokens[:, model.num_prefix_tokens :]
        torch.testing.assert_close(said.get("mean"), cells.mean(1), atol=1e-5, rtol=1e-5)
        for level, expected in zip(("block_2", "early", "mid", "late"), maps, strict=True):
            torch.testing.assert_close(said.get(level), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_prefix_tokens_are_in_no_map(name, tmp_path):
    save_file(reference(name).state_dict(), tmp_path / "own.safetensors")
    teacher, seen = build(name, tmp_path / "own.safetensors", normed=False), []
    teacher.model.blocks[-1].register_forward_hook(lambda block, given, tokens: seen.append(tokens))
    patch = teacher.stride("late")
    cells = teacher(images(2 * patch, 3 * patch), levels=("late",)).get("late")
    assert seen[0].shape[1] == 6 + PREFIX[name]
    assert cells.flatten(2).transpose(1, 2).equal(seen[0][:, -6:])


def as_meta_names_them(name, state):
    named = dict(state)
    if "dinov3" in name:
        pairs = {"reg_token": "storage_tokens", "gamma_1": "ls1.gamma", "gamma_2": "ls2.gamma"}
        pairs |= {"mlp.fc1_g": "mlp.w1", "mlp.fc1_x": "mlp.w2"} | ({"mlp.fc2": "mlp.w3"} if "plus" in name else {})
        for ours, theirs in pairs.items():
            named = {key.replace(ours, theirs): value for key, value in named.items()}
    elif "reg4" in name:  # Meta's class token is not yet added to its place
        place = torch.full((1, 1, 48), 0.5)
        named["register_tokens"] = named.pop("reg_token")
        named["cls_token"] = named["cls_token"] - place
        named["pos_embed"] = torch.cat([place, named["pos_embed"]], 1)
    return named


@pytest.mark.parametrize("form", ["safetensors", "state_dict", "nested", "published"])
def test_each_form_of_file_loads(name, tmp_path, form):
    state = reference(name).state_dict()
    path = tmp_path / ("own.safetensors" if form == "safetensors" else "own.pth")
    if form == "safetensors":
        save_file(state, path)
    elif form == "published":  # as Meta's: one key more, which is of pre-training alone
        extra = {"mask_token": torch.zeros(1, 48)}
        torch.save({**as_meta_names_them(name, state), **extra}, path)
    else:
        torch.save({"model": state, "epoch": 3} if form == "nested" else state, path)
    loaded = build(name, path).model.state_dict()
    assert all(torch.allclose(loaded[key], state[key], rtol=0, atol=1e-6) for key in state)


def test_the_hubs_cache_is_found(name, tmp_path, monkeypatch):
    repository = REGISTRY.get("teacher", name).facts["weights"].removeprefix("hub:")
    folder = tmp_path / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    state = reference(name).state_dict()
    save_file(state, folder / "snapshots" / ("0" * 40) / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    loaded = build(name).model.state_dict()
    assert all(loaded[key].equal(state[key]) for key in state)


def test_weights_that_are_nowhere_are_asked_for(name, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingInput, match=r"hf download timm/vit_\S+ model.safetensors"):
        build(name)


class Runs:
    """Would make a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def broken(kind, path, tmp_path):
    model = reference("dinov2_vitb14", **({"embed_dim": 24} if kind == "wrong shape" else {}))
    state = model.state_dict()
    if kind == "pickled code":
        path.write_bytes(pickle.dumps({"model": Runs(tmp_path / "ran")}, protocol=2))
    elif kind == "torch code":
        torch.save({"model": Runs(tmp_path / "ran")}, path)
    elif kind == "other names":
        torch.save({"layer.weight": torch.zeros(2)}, path)
    elif kind == "a name lacks":
        del state["blocks.3.attn.qkv.weight"]
        torch.save(state, path)
    elif kind == "no tensors":
        torch.save([1, 2], path)
    elif path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("kind", "filename", "told"),
    [
        ("wrong shape", "w.pth", "has shape"),
        ("wrong shape", "w.safetensors", "has shape"),
        ("truncated", "w.pth", "cannot be read as weights"),
        ("truncated", "w.safetensors", "not a whole safetensors file"),
        ("empty", "w.pth", "cannot be read as weights"),
        ("empty", "w.safetensors", "not a whole safetensors file"),
        ("pickled code", "w.pth", "pickled objects or code"),
        ("pickled code", "w.safetensors", "not a whole safetensors file"),
        ("torch code", "w.pth", "pickled objects or code"),
        ("other names", "w.pth", "not weights of this architecture"),
        ("a name lacks", "w.pth", r"lacks blocks.3.attn.qkv.weight"),
        ("no tensors", "w.pth", "no state dict"),
    ],
)
def test_what_is_not_whole_or_not_ours_is_refused_in_one_line(kind, filename, told, tmp_path):
    path = broken(kind, tmp_path / filename, tmp_path)
    with pytest.raises(UserError, match=told) as refused:
        build("dinov2_vitb14", path)
    assert filename in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_not_there_is_named(name, tmp_path):
    with pytest.raises(MissingInput, match="nowhere.pth"):
        build(name, tmp_path / "nowhere.pth")


@torch.no_grad()
def test_images_are_resized_to_what_the_patch_divides(name, tmp_path):
    save_file(reference(name).state_dict(), tmp_path / "own.safetensors")
    teacher = build(name, tmp_path / "own.safetensors")
    patch = teacher.stride("late")
    odd, wide = images(patch + 1, 2 * patch), images(2 * patch, 3 * patch)
    assert teacher(odd, levels=("late",)).get("late").shape[2:] == (2, 2)
    larger = build(name, tmp_path / "own.safetensors", size=4 * patch)
    assert larger(wide, levels=("late",)).get("late").shape[2:] == (4, 6)
    brighter = build(name, tmp_path / "own.safetensors", white=0.6)
    assert brighter.prepare(wide).max() < teacher.prepare(wide).max()


def test_levels_are_an_option(name, tmp_path):
    save_file(reference(name).state_dict(), tmp_path / "own.safetensors")
    teacher = build(name, tmp_path / "own.safetensors", levels=[1, 3, 7])
    assert teacher.levels == {"early": 1, "mid": 3, "late": 7}
    for wrong in ([1, 3], [3, 1, 7], [1, 3, 12]):
        with pytest.raises(UserError, match="three numbers from 0 to 11"):
            build(name, tmp_path / "own.safetensors", levels=wrong)
