"""SSL4EO-S12's and Seasonal Contrast's teachers: features are torchgeo's, files load as published, others do not."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub import constants

from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.teachers._multispectral import MultispectralResNet
from deo_bench.teachers._vit import TimmVit
from tests.contract.backbones import REGISTRY, all_bands
from tests.teachers.torchgeo_weights import (
    HEADS,
    NARROW_RESNET,
    NARROW_VIT,
    SPOILT,
    architecture,
    digits,
    drawn,
    entry,
    place,
    spoil,
)

VITS = ["ssl4eo_vits16_dino", "ssl4eo_vith14_mae", "ssl4eo_vits14_softcon"]
RESNETS = ["ssl4eo_resnet18_moco_rgb", "ssl4eo_resnet50_softcon", "seco_resnet18", "seco_eco_resnet50"]
RESNETS += ["satlas_resnet50_ms", "satlas_resnet152_rgb"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(TimmVit, "overrides", NARROW_VIT)
    monkeypatch.setattr(MultispectralResNet, "overrides", NARROW_RESNET)


def reference(name, **changes):
    sizes = {**NARROW_VIT, "dynamic_img_size": True} if "vit" in name else NARROW_RESNET
    return drawn(architecture(name, **{**sizes, **changes}))


def build(name, file=None, **options):
    return REGISTRY.build("teacher", name, options={"file": file and str(file), **options})


@torch.no_grad()
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("name", VITS)
def test_a_transformers_features_are_torchgeos(name, normed, tmp_path):
    model = reference(name)
    torch.save(model.state_dict(), tmp_path / "own.pth")
    teacher = build(name, tmp_path / "own.pth", normed=normed)
    patch, levels = teacher.stride("late"), ("block_2", "early", "mid", "late")
    for height, width in ((224, 224), (2 * patch, 3 * patch)):
        batch = all_bands(height, width)
        pixels = teacher.prepare(batch)
        said = teacher(batch, levels=levels)
        numbers = [2, *teacher.levels.values()]
        tokens, maps = model.forward_intermediates(pixels, indices=numbers, norm=normed)
        if normed:
            assert tokens.equal(model.forward_features(pixels))
            torch.testing.assert_close(said.get("cls"), tokens[:, 0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(said.get("mean"), tokens[:, 1:].mean(1), atol=1e-5, rtol=1e-5)
        for level, expected in zip(levels, maps, strict=True):
            torch.testing.assert_close(said.get(level), expected, atol=1e-5, rtol=1e-5)
            assert expected.shape[2:] == (height // patch, width // patch)


@torch.no_grad()
@pytest.mark.parametrize("name", RESNETS)
def test_a_resnets_features_are_torchgeos(name, tmp_path):
    model = reference(name)
    torch.save(model.state_dict(), tmp_path / "own.pth")
    teacher = build(name, tmp_path / "own.pth")
    model.reset_classifier(0)
    levels = ("stage_1", "early", "mid", "late")
    for height, width in ((64, 64), (64, 96)):
        batch = all_bands(height, width)
        pixels = teacher.prepare(batch)
        said = teacher(batch, levels=levels)
        torch.testing.assert_close(said.get("mean"), model(pixels), atol=1e-5, rtol=1e-5)
        _, maps = model.forward_intermediates(pixels, indices=[0, 2, 3, 4])
        for level, expected in zip(levels, maps, strict=True):
            torch.testing.assert_close(said.get(level), expected, atol=1e-5, rtol=1e-5)
            assert height // teacher.stride(level) == expected.shape[2]


@pytest.mark.parametrize("name", [*VITS, *RESNETS])
def test_bands_are_picked_by_name(name):
    teacher = REGISTRY.build("teacher", name, False)
    batch = all_bands(64, 64)
    back = Images(batch.pixels.flip(1), batch.bands[::-1], "reflectance")
    assert teacher.prepare(batch).equal(teacher.prepare(back))
    with pytest.raises(UserError, match="the images lack band B.*; they have B12"):
        teacher(Images(batch.pixels[:, :1], ("B12",), "reflectance"))


def pixel(name, unit="reflectance", values=None, **options):
    """What a teacher makes of one pixel, by band; reflectance 0.25 where nothing else is said."""
    teacher = REGISTRY.build("teacher", name, False, options=options)
    asked = torch.tensor([(values or {}).get(band, 0.25) for band in BAND_SETS["s2_13"]])
    made = teacher.prepare(Images(asked.view(1, 13, 1, 1), BAND_SETS["s2_13"], unit)).flatten()
    return dict(zip(teacher.band_sets[teacher.first], made.tolist(), strict=True))


def test_unit_and_scale_are_those_it_was_trained_on():
    each = {band: 0.01 * number for number, band in enumerate(BAND_SETS["s2_13"], 1)}
    assert pixel("ssl4eo_vits16_dino", values=each) == pytest.approx(each)
    assert pixel("seco_eco_resnet50", "dn", {"B8A": 6000.0})["B8A"] == pytest.approx(0.6)
    assert list(pixel("ssl4eo_resnet18_moco_rgb", values={"B04": 0.1})) == ["B04", "B03", "B02"]
    softcon = pixel("ssl4eo_vitb14_softcon", values={"B10": 0.0022, "B01": 0.16129 + 2 * 0.0791})
    assert softcon["B10"] == pytest.approx(0, abs=1e-5) and softcon["B01"] == pytest.approx(2, rel=1e-5)


def test_seasonal_contrast_sees_colours_between_its_quantiles():
    half = pixel("seco_resnet50", values={"B04": 64.5 / 255, "B03": 52.5 / 255, "B02": 45.5 / 255})
    wanted = {"B04": (0.5 - 0.485) / 0.229, "B03": (0.5 - 0.456) / 0.224, "B02": (0.5 - 0.406) / 0.225}
    assert half == pytest.approx(wanted, abs=1e-5)
    beyond = pixel("seco_resnet50", values={"B04": 0.9, "B03": 0.0, "B02": 88 / 255})
    assert beyond == pytest.approx({"B04": 0.515 / 0.229, "B03": -0.456 / 0.224, "B02": 0.594 / 0.225}, abs=1e-5)


@pytest.mark.parametrize("name", ["ssl4eo_vits16_moco", "ssl4eo_resnet50_decur", "seco_resnet18", "satlas_resnet50_ms"])
def test_a_published_file_is_found_and_held_to_its_checksum(name, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    state, path = reference(name).state_dict(), place(name, tmp_path)
    torch.save(state, path)
    with pytest.raises(UserError, match=f"{path.name} has checksum {digits(path)}, its source states") as refused:
        build(name)
    assert "\n" not in str(refused.value)
    monkeypatch.setitem(entry(name), "checksum", digits(path))
    loaded = build(name).model.state_dict()
    assert set(loaded) == set(state) - set(HEADS) and len(loaded) == len(state) - 2
    assert all(loaded[key].equal(state[key]) for key in loaded)


@pytest.mark.parametrize("kind", SPOILT)
@pytest.mark.parametrize("name", ["ssl4eo_vits16_moco", "ssl4eo_resnet18_moco"])
def test_what_is_not_whole_or_not_ours_is_refused_in_one_line(name, kind, tmp_path):
    spoil(kind, reference(name).state_dict(), tmp_path / "own.pth", tmp_path / "ran")
    with pytest.raises(UserError, match=f"own.pth: .*{SPOILT[kind]}") as refused:
        build(name, tmp_path / "own.pth")
    assert "\n" not in str(refused.value) and not (tmp_path / "ran").exists()


def test_a_final_norm_may_be_missing_but_not_half_of_it(tmp_path):
    state = reference("ssl4eo_vits16_mae").state_dict()
    del state["norm.bias"]
    torch.save(state, tmp_path / "half.pth")
    with pytest.raises(UserError, match=r"half.pth: .*lacks norm.bias"):
        build("ssl4eo_vits16_mae", tmp_path / "half.pth")
    del state["norm.weight"]
    torch.save(state, tmp_path / "none.pth")
    teacher = build("ssl4eo_vits16_mae", tmp_path / "none.pth")
    assert teacher.model.norm.weight.unique().item() == 1 and teacher.model.norm.bias.unique().item() == 0
    last = teacher(all_bands(32, 32), levels=("late",)).get("late")
    torch.testing.assert_close(last.mean(1), torch.zeros(2, 2, 2), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("name", ["ssl4eo_vits16_moco", "seco_resnet18"])
def test_an_untrained_one_of_its_kind_sees_the_same_bands(name):
    control = REGISTRY.build("teacher", "random", options={"like": name})
    own = REGISTRY.build("teacher", name, False)
    assert control.band_sets == own.band_sets and control.normalisations == own.normalisations
    batch = all_bands(64, 64)
    assert control.prepare(batch).equal(own.prepare(batch))
    assert control(batch, levels=("late",)).get("late").shape == own(batch, levels=("late",)).get("late").shape


@torch.no_grad()
def test_images_are_resized_to_what_is_asked_for():
    teacher = REGISTRY.build("teacher", "ssl4eo_vits14_softcon", False, options={"size": 56})
    assert teacher(all_bands(28, 42), levels=("late",)).get("late").shape[2:] == (4, 6)
    pyramid = REGISTRY.build("teacher", "ssl4eo_resnet18_moco", False, options={"levels": [1, 2, 5]})
    assert pyramid.levels == {"early": 1, "mid": 2, "late": 5}
    assert pyramid(all_bands(40, 70), levels=("late",)).get("late").shape[2:] == (2, 3)
