"""SatlasPretrain's teachers: features are torchvision's, colours are ESA's, files load as published, others do not."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub import constants

from deo_bench import libraries
from deo_bench.errors import MissingInput, UserError
from deo_bench.features import Images
from tests.contract.backbones import REGISTRY, all_bands
from tests.teachers.torchgeo_weights import HEADS, SPOILT, architecture, digits, drawn, entry, place, spoil

NAME = "satlas_swinv2_tiny_ms"
STAGES = {"stage_1": 1, "early": 3, "mid": 5, "late": 7}
"""Where torchvision's list of layers has a level's last block."""
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")


@pytest.fixture
def small(monkeypatch):
    family = REGISTRY.load("teacher", NAME)
    monkeypatch.setattr(family, "overrides", family.narrow)


def build(name=NAME, file=None, **options):
    return REGISTRY.build("teacher", name, options={"file": file and str(file), **options})


def small_state():
    """A narrow file with the classifier that published ones bring along."""
    teacher = drawn(REGISTRY.build("teacher", NAME, False).model)
    return {**teacher.state_dict(), "head.weight": torch.zeros(5, 192), "head.bias": torch.zeros(5)}


@torch.no_grad()
@pytest.mark.parametrize("name", [NAME, "satlas_swinv2_tiny_rgb_mi"])
def test_features_are_those_of_torchgeos_model(name, tmp_path):
    model = drawn(architecture(name), spread=0.05)
    torch.save(model.state_dict(), tmp_path / "own.pth")
    raw, normed = build(name, tmp_path / "own.pth"), build(name, tmp_path / "own.pth", normed=True)
    seen = {}
    for number in STAGES.values():
        model.features[number].register_forward_hook(lambda _, given, out, number=number: seen.update({number: out}))
    pooled = []
    model.flatten.register_forward_hook(lambda _, given, out: pooled.append(out))
    for height, width in ((64, 64), (64, 96)):
        batch = all_bands(height, width)
        model(raw.prepare(batch))
        said, after = raw(batch, levels=tuple(STAGES)), normed(batch, levels=tuple(STAGES))
        for level, number in STAGES.items():
            expected = seen[number].permute(0, 3, 1, 2)
            torch.testing.assert_close(said.get(level), expected, atol=1e-5, rtol=1e-5)
            assert expected.shape[2] == height // raw.stride(level) and expected.shape[1] == raw.width(level)
            expected = model.norm(seen[number]).permute(0, 3, 1, 2) if level == "late" else expected
            torch.testing.assert_close(after.get(level), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(said.get("mean"), seen[7].mean((1, 2)), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(after.get("mean"), pooled[-1], atol=1e-5, rtol=1e-5)


def pixel(name, values, unit="reflectance", rgb_unit=None, **options):
    """What a teacher makes of one pixel whose bands are all the same, by band."""
    teacher = REGISTRY.build("teacher", name, False, options=options)
    given = torch.tensor([values[1] if band in ("B02", "B03", "B04") else values[0] for band in BANDS])
    made = teacher.prepare(Images(given.view(1, 9, 1, 1), BANDS, unit, rgb_unit=rgb_unit)).flatten()
    return dict(zip(teacher.band_sets[teacher.first], made.tolist(), strict=True))


@pytest.mark.parametrize("name", [NAME, "satlas_swinv2_tiny_rgb", "satlas_resnet50_ms", "satlas_resnet50_rgb"])
@pytest.mark.parametrize(
    ("given", "other", "colour"),
    [
        ({"values": (0.408, 0.1779)}, 0.5, 0.5),
        ({"values": (4080.0, 1779.0), "unit": "dn"}, 0.5, 0.5),
        ({"values": (0.9, 0.4)}, 1, 1),
        ({"values": (-0.1, -0.1)}, 0, 0),
        ({"values": (0.204, 0.1), "white": 0.2}, 0.25, 0.5),
        ({"values": (2040.0, 51.0), "unit": "dn", "rgb_unit": "uint8"}, 0.25, 0.2),
        ({"values": (0.204, 0.7), "rgb_unit": "display"}, 0.25, 0.7),
    ],
)
def test_colours_are_esas_and_the_rest_over_8160(name, given, other, colour, small):
    made = pixel(name, **given)
    colours = dict.fromkeys(("B04", "B03", "B02"), colour)
    rest = dict.fromkeys(("B05", "B06", "B07", "B08", "B11", "B12"), other) if name.endswith("ms") else {}
    assert list(made) == [*colours, *rest]
    assert made == pytest.approx({**colours, **rest}, abs=1e-6)


def test_a_published_file_is_found_and_held_to_its_checksum(small, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    state, path = small_state(), place(NAME, tmp_path)
    torch.save(state, path)
    with pytest.raises(UserError, match=f"{path.name} has checksum {digits(path)}, its source states bc68e396"):
        build()
    monkeypatch.setitem(entry(NAME), "checksum", digits(path))
    loaded = build().model.state_dict()
    assert set(loaded) == set(state) - set(HEADS) and all(loaded[key].equal(state[key]) for key in loaded)


@pytest.mark.parametrize("kind", SPOILT)
def test_what_is_not_whole_or_not_ours_is_refused_in_one_line(small, kind, tmp_path):
    spoil(kind, small_state(), tmp_path / "own.pth", tmp_path / "ran")
    with pytest.raises(UserError, match=f"own.pth: .*{SPOILT[kind]}") as refused:
        build(file=tmp_path / "own.pth")
    assert "\n" not in str(refused.value) and not (tmp_path / "ran").exists()


def test_a_teacher_without_its_library_says_what_brings_it(small, monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(MissingInput, match=f"teacher {NAME}: needs torchgeo, which is not installed") as refused:
        REGISTRY.build("teacher", NAME, False)
    assert "pip install 'deo-bench[geo]'" in str(refused.value)
    assert REGISTRY.build("teacher", "satlas_resnet50_ms", False).first == "s2_9"


@torch.no_grad()
def test_any_size_of_image_is_taken_and_levels_are_an_option(small):
    teacher = REGISTRY.build("teacher", NAME, False, options={"levels": [1, 2, 4]})
    assert teacher.levels == {"early": 1, "mid": 2, "late": 4}
    assert teacher(all_bands(40, 70), levels=("early", "late")).get("early").shape[1:] == (24, 16, 24)
    larger = REGISTRY.build("teacher", NAME, False, options={"size": 96})
    assert larger(all_bands(32, 64), levels=("late",)).get("late").shape[2:] == (3, 6)
    control = REGISTRY.build("teacher", "random", options={"like": NAME})
    assert control.band_sets == teacher.band_sets and control.normalisations == teacher.normalisations
