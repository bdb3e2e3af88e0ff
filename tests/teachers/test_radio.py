"""RADIO through a checkout in small: its features, its sizes, and what it needs before a grid starts."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType

import pytest
import torch
from huggingface_hub import constants

from deo_bench import weights
from deo_bench.data import Places
from deo_bench.engine import contract
from deo_bench.errors import MissingInput, UserError
from deo_bench.features import Images
from deo_bench.recipe.identity import Identifier
from deo_bench.recipe.models import PartTable
from tests.contract.backbones import REGISTRY, images
from tests.teachers.radio_checkout import MEAN, STD, options, write_checkout, write_weights

RADIO = [name for name in REGISTRY.all("teacher") if "radio" in name]
NAME = "radio_v25_b"


def build(name=NAME, **more):
    return REGISTRY.build("teacher", name, options={**options(), **more})


def library(**more):
    """The checkout's own model, as a user of it would load it."""
    given = {**options(), **more}
    model = torch.hub.load(given["checkout"], "radio_model", source="local", version=given["file"])
    return model.float().eval()


def test_the_family_is_what_the_checkout_lists():
    v25 = [f"radio_v25_{size}" for size in "blhg"]
    v3 = [f"cradio_v3_{size}" for size in "blhg"]
    assert sorted(RADIO) == sorted([*v25, *v3, "cradio_v2_g", "cradio_v4_so400m", "cradio_v4_h"])
    for name in RADIO:
        facts = REGISTRY.get("teacher", name).facts
        assert ("Open Model" in facts["licence"]) == name.startswith("cradio")
        assert "parameters" not in facts and "gmacs" not in facts


@torch.no_grad()
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("size", [(16, 16), (16, 24)])
def test_features_are_those_of_the_checkout(size, normed):
    teacher, known = build(normed=normed), library()
    batch = images(*size)
    pixels = teacher.prepare(batch)
    said = teacher(batch, levels=("block_1", "early", "mid", "late"))
    summary, cells = known(pixels)
    torch.testing.assert_close(said.get("default"), summary, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(said.get("mean"), cells.mean(1), atol=1e-5, rtol=1e-5)
    late = cells.transpose(1, 2).reshape(2, 16, size[0] // 8, size[1] // 8)
    torch.testing.assert_close(said.get("late"), late, atol=1e-5, rtol=1e-5)
    earlier = known.forward_intermediates(pixels, indices=[1, 3, 5], norm=normed, intermediates_only=True)
    for level, expected in zip(("block_1", "early", "mid"), earlier, strict=True):
        torch.testing.assert_close(said.get(level), expected, atol=1e-5, rtol=1e-5)
    assert teacher.pooled_dims == {"cls": 48, "mean": 16} and teacher.levels == {"early": 3, "mid": 5, "late": 7}


@torch.no_grad()
def test_pixels_are_from_0_to_1_and_normalised_once():
    teacher, seen = build(white=0.5), []
    teacher.model.model.embed.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    pixels = torch.zeros(1, 3, 8, 8)
    pixels[:, 0], pixels[:, 1], pixels[:, 2] = 1000.0, 2000.0, 9000.0
    teacher(Images(pixels, ("B02", "B03", "B04"), "dn"))
    expected = [(shown - mean) / std for shown, mean, std in zip((1.0, 0.4, 0.2), MEAN, STD, strict=True)]
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor(expected))


@torch.no_grad()
def test_one_of_several_summaries():
    whole = build()(images(16, 16)).get("cls")
    for number in range(3):
        teacher = build(summary=number)
        assert teacher.width("cls") == 16
        assert teacher(images(16, 16)).get("cls").equal(whole[:, 16 * number : 16 * (number + 1)])
    for wrong in (3, -1):
        with pytest.raises(UserError, match=r"summary: radio_v25_b has 3 of them, so 0 to 2"):
            build(summary=wrong)


@torch.no_grad()
def test_sizes_are_multiples_of_the_networks_step(tmp_path):
    windowed = build(file=str(write_weights(tmp_path / "w.pth", window=2)))
    assert windowed(images(17, 30), levels=("late",)).get("late").shape[2:] == (4, 4)
    assert build()(images(17, 30), levels=("late",)).get("late").shape[2:] == (3, 4)
    assert build(size=32)(images(16, 24), levels=("late",)).get("late").shape[2:] == (4, 6)


@torch.no_grad()
def test_without_intermediates_late_is_the_only_level(tmp_path):
    checkout = str(write_checkout(tmp_path / "old", has_intermediates=False))
    teacher, batch = build(checkout=checkout), images(16, 16)
    assert list(teacher.levels) == ["late"]
    assert teacher(batch, levels=("late",)).get("late").equal(build()(batch, levels=("late",)).get("late"))
    for level in ("mid", "block_3"):
        with pytest.raises(UserError, match=f"has no '{level}'"):
            teacher(batch, levels=(level,))
    with pytest.raises(UserError, match="no forward_intermediates"):
        build(checkout=checkout, levels=[1, 2, 3])


@torch.no_grad()
def test_weights_in_half_precision_run_in_whatever_is_asked_for(tmp_path):
    teacher = build(file=str(write_weights(tmp_path / "half.pth", dtype=torch.bfloat16)))
    batch = images(16, 16)
    exact = teacher(batch, levels=("mid", "late"))
    half = teacher.bfloat16()(Images(batch.pixels.bfloat16(), batch.bands, batch.unit), levels=("mid", "late"))
    for place in [*exact.pooled, *exact.maps]:
        assert exact.get(place).dtype == torch.float32 and half.get(place).dtype == torch.bfloat16
        assert (half.get(place).float() - exact.get(place)).abs().mean() < 0.2 * exact.get(place).std(), place


def test_averaged_weights_come_first(tmp_path):
    both = write_weights(tmp_path / "both.pth", lambda content: content.update(state_dict={}), "state_dict_ema")
    assert build(file=str(both)).model.model.embed.weight.equal(build().model.model.embed.weight)


@torch.no_grad()
def test_the_untrained_control_has_other_weights_and_the_same_shape():
    teacher = build()
    control = REGISTRY.build("teacher", "random", options={"like": NAME, "settings": options()})
    again = REGISTRY.build("teacher", "random", options={"like": NAME, "settings": options()})
    batch = images(16, 16)
    assert control.pooled_dims == teacher.pooled_dims and control.levels == teacher.levels
    assert not torch.allclose(control(batch).get("cls"), teacher(batch).get("cls"), atol=1e-2)
    assert control(batch).get("cls").equal(again(batch).get("cls"))
    assert not torch.allclose(*control(batch).get("cls"), atol=1e-4)


def test_it_keeps_its_contract():
    assert not [found for found in contract.check(REGISTRY, "teacher", NAME, options()) if found.problem]


@pytest.mark.parametrize("name", RADIO)
def test_each_file_is_found_in_the_caches(name, tmp_path, monkeypatch):
    facts = REGISTRY.get("teacher", name).facts
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    given = {"checkout": options()["checkout"]}
    found = weights.locate(REGISTRY.get("teacher", name), given)
    assert found.missing and f"hf download {facts['weights'][4:]} {facts['filename']}" in found.remedy
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    path = write_weights(tmp_path / "torch" / "hub" / "checkpoints" / facts["filename"])
    assert weights.locate(REGISTRY.get("teacher", name), given).path == path
    assert REGISTRY.build("teacher", name, options=given).pooled_dims["cls"] == 48


def test_a_checkout_is_asked_for_before_anything_starts(tmp_path):
    declared = REGISTRY.get("teacher", NAME)
    found = weights.locate(declared, {"file": options()["file"]})
    assert (
        found.missing and "set checkout = a folder with a checkout of https://github.com/NVlabs/RADIO" in found.remedy
    )
    assert weights.look(declared).missing
    with pytest.raises(MissingInput, match="holds no hubconf.py"):
        weights.locate(declared, {**options(), "checkout": str(tmp_path)})
    with pytest.raises(MissingInput, match="set checkout"):
        REGISTRY.build("teacher", NAME, options={"file": options()["file"]})
    with pytest.raises(MissingInput, match=r"holds no hubconf\.py"):
        build(checkout=str(tmp_path))


def test_code_and_weights_are_who_it_is_and_their_place_is_not(tmp_path):
    def identity(checkout, file):
        given = REGISTRY.options("teacher", NAME, {"checkout": str(checkout), "file": str(file)}, "teachers.t")
        return Identifier(REGISTRY, Places.of(tmp_path)).teacher(PartTable(use=NAME, options=given))

    one, two = write_checkout(tmp_path / "one"), write_checkout(tmp_path / "two")
    file = write_weights(tmp_path / "own.pth")
    known = identity(one, file)
    assert identity(two, file) == known
    (two / ".git").mkdir()
    (two / ".git" / "hook.py").write_text("1")
    (two / "notes.txt").write_text("1")
    assert identity(two, file) == known
    (two / "radio").mkdir()
    (two / "radio" / "block.py").write_text("1")
    assert identity(two, file) != known
    assert identity(one, write_weights(tmp_path / "other.pth", width=32)) != known


class Runs:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("truncated", "cannot be read as weights"),
        ("code", "pickled objects or code"),
        ("args lack", "it holds no args"),
        ("a name lacks", r"Missing keys in state dict: \['blocks.2.attn.qkv.weight'\]"),
        ("wrong shape", "size mismatch|Error.* in loading state_dict"),
        ("no checkpoint", "cannot be read as weights|no checkpoint"),
    ],
)
def test_what_is_not_whole_or_not_radio_is_refused_in_one_line(kind, told, tmp_path, capsys):
    def change(content):
        if kind == "code":
            content["more"] = Runs()
        elif kind == "args lack":
            del content["args"]
        elif kind == "a name lacks":
            del content["state_dict"]["base_model.blocks.2.attn.qkv.weight"]
        elif kind == "wrong shape":
            content["args"].width = 32

    path = write_weights(tmp_path / "wrong.pth", change)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "no checkpoint":
        path.write_bytes(pickle.dumps([1]))
    with pytest.raises(UserError, match=told) as refused:
        build(file=str(path))
    assert "wrong.pth" in str(refused.value) and "\n" not in str(refused.value)
    assert "ran" not in capsys.readouterr().out


def test_code_that_fails_is_one_line(tmp_path):
    checkout = write_checkout(tmp_path / "bad", code='dependencies = ["no_such_library"]\ndef radio_model(): pass\n')
    with pytest.raises(UserError, match="Missing dependencies: no_such_library") as refused:
        build(checkout=str(checkout))
    assert str(checkout) in str(refused.value) and "\n" not in str(refused.value)


def test_a_second_checkout_would_run_the_firsts_modules(tmp_path, monkeypatch):
    other = ModuleType("radio")
    other.__file__ = str(tmp_path / "first" / "radio" / "__init__.py")
    monkeypatch.setitem(sys.modules, "radio", other)
    with pytest.raises(UserError, match="first is loaded already"):
        build()
    other.__file__ = options()["checkout"] + "/radio/__init__.py"
    assert build().pooled_dims["cls"] == 48
