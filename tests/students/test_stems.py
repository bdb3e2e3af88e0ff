"""Stems: one convolution a band set, or one for all."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from deo_bench.bands import BAND_SETS
from deo_bench.students._filters import inflated
from tests.contract.backbones import BANDS, REGISTRY, images, small_student

STEMS = list(REGISTRY.all("stem"))
ON_A_GRID = [name for name in STEMS if not REGISTRY.get("stem", name).facts.get("groups")]
SETS = {
    "ten and rgb": BANDS,
    "thirteen and six": {name: BAND_SETS[name] for name in ("s2_13", "hls_6")},
}


def build(name, **options):
    return of(BANDS, name, **options)


def of(sets, name, *kernel, **options):
    torch.manual_seed(0)
    return REGISTRY.build("stem", name, sets, 6, 4, *kernel, options=options)


@pytest.mark.parametrize("sets", SETS)
@pytest.mark.parametrize("kernel", [None, 3, 7])
@pytest.mark.parametrize("name", ON_A_GRID)
def test_tokens_lie_on_a_grid_of_the_patch(name, kernel, sets):
    stem = of(SETS[sets], name, *([] if kernel is None else [kernel]))
    for sees, bands in SETS[sets].items():
        assert stem(torch.randn(2, len(bands), 8, 12), sees).shape == (2, 6, 2, 3)


@pytest.mark.parametrize("sets", SETS)
@pytest.mark.parametrize("name", STEMS)
def test_parameters_of_are_those_that_no_other_pass_reaches(name, sets):
    stem = of(SETS[sets], name)
    reached = {}
    for sees, bands in SETS[sets].items():
        stem.zero_grad(set_to_none=True)
        stem(torch.randn(2, len(bands), 8, 8), sees).square().sum().backward()
        reached[sees] = {id(parameter) for parameter in stem.parameters() if parameter.grad is not None}
    for sees in reached:
        others = set().union(*(found for other, found in reached.items() if other != sees))
        assert {id(parameter) for parameter in stem.parameters_of(sees)} == reached[sees] - others
    assert set().union(*reached.values()) == {id(parameter) for parameter in stem.parameters()}


@pytest.mark.parametrize("student", ["vit_nano", "swin_tiny", "timm"])
@pytest.mark.parametrize("name", ON_A_GRID)
def test_every_stem_before_every_trunk(name, student):
    backbone = small_student(student, name)
    for size in ((64, 64), (64, 96)):
        for sees in BANDS:
            said = backbone(images(*size), sees, levels=tuple(backbone.levels))
            for level, cells in said.maps.items():
                stride = backbone.stride(level)
                assert cells.shape == (2, backbone.width(level), size[0] // stride, size[1] // stride)
            sum(said.get(place).square().mean() for place in [*said.pooled, *said.maps]).backward()
    still = [key for key, value in backbone.named_parameters() if value.grad is None or not value.grad.any()]
    assert still == ["mask_token"]


def test_dual_has_a_convolution_a_band_set():
    stem = build("dual")
    own = {sees: {id(parameter) for parameter in stem.parameters_of(sees)} for sees in BANDS}
    assert not own["s2_10"] & own["rgb"]
    assert own["s2_10"] | own["rgb"] == {id(parameter) for parameter in stem.parameters()}


def test_single_takes_a_missing_band_for_zero():
    stem = build("single")
    assert stem.bands == BANDS["s2_10"] and stem.parameters_of("rgb") == []
    rgb = torch.randn(2, 3, 8, 8)
    padded = torch.zeros(2, 10, 8, 8)
    padded[:, [stem.bands.index(band) for band in BANDS["rgb"]]] = rgb
    torch.testing.assert_close(stem(rgb, "rgb"), F.conv2d(padded, stem.project.weight, stem.project.bias, 4))
    torch.testing.assert_close(stem(rgb, "rgb"), stem(padded, "s2_10"))


@pytest.mark.parametrize("name", ["dual", "single"])
def test_a_norm_of_its_own_is_an_option(name):
    tokens = build(name, norm=True)(torch.randn(2, 3, 8, 8), "rgb")
    torch.testing.assert_close(tokens.mean(1), torch.zeros(2, 2, 2), atol=1e-5, rtol=0)
    assert len(build("dual", norm=True).parameters_of("rgb")) == 4


@torch.no_grad()
def test_summed_is_a_convolution_of_red_green_blue_and_one_of_the_rest():
    stem, pixels = build("summed"), torch.randn(2, 10, 8, 8)
    visible, others = [2, 1, 0], [3, 4, 5, 6, 7, 8, 9]
    assert stem.groups == {"visible": ("B02", "B03", "B04"), "others": BANDS["s2_10"][3:]}
    three = F.conv2d(pixels[:, [0, 1, 2]], stem.project["visible"].weight, stem.project["visible"].bias, 4)
    seven = F.conv2d(pixels[:, others], stem.project["others"].weight, stem.project["others"].bias, 4)
    torch.testing.assert_close(stem(pixels, "s2_10"), three + seven)
    torch.testing.assert_close(stem(pixels[:, visible], "rgb"), three)


@torch.no_grad()
def test_summed_finds_its_bands_by_name():
    order = [9, 3, 0, 7, 1, 8, 2, 5, 4, 6]
    ten = BANDS["s2_10"]
    stem = of({"s2_10": ten, "shuffled": tuple(ten[place] for place in order), "one": ("B11",)}, "summed")
    pixels = torch.randn(2, 10, 8, 8)
    torch.testing.assert_close(stem(pixels, "s2_10"), stem(pixels[:, order], "shuffled"))
    alone = F.conv2d(pixels[:, [8]], stem.project["others"].weight[:, [5]], stem.project["others"].bias, 4)
    torch.testing.assert_close(stem(pixels[:, [8]], "one"), alone)


@torch.no_grad()
def test_summed_norms_each_group_before_the_sum():
    stem, pixels = build("summed", norm=True), torch.randn(2, 10, 8, 8)
    stem.norm["others"].weight.zero_()
    stem.norm["others"].bias.fill_(2.0)
    torch.testing.assert_close(stem(pixels, "s2_10"), stem(pixels[:, [2, 1, 0]], "rgb") + 2)


def test_filters_are_inflated_by_name_and_keep_their_sum():
    weight = torch.randn(6, 3, 4, 4)
    assert inflated(weight, BANDS["rgb"]).equal(weight)
    assert inflated(weight, ("B", "R", "G")).equal(weight[:, [2, 0, 1]])
    ten = inflated(weight, BANDS["s2_10"])
    torch.testing.assert_close(ten.sum(1), weight.sum(1))
    torch.testing.assert_close(ten[:, :3], 0.3 * weight[:, [2, 1, 0]])
    torch.testing.assert_close(ten[:, 9], 0.1 * weight.sum(1))


@torch.no_grad()
@pytest.mark.parametrize("name", ["dual", "single", "summed"])
@pytest.mark.parametrize("bias", [None, torch.arange(6.0)])
def test_inflated_stems_answer_grey_as_the_trained_layer_does(name, bias):
    stem, weight = build(name), torch.randn(6, 3, 4, 4)
    stem.inflate(weight, bias)
    grey = torch.randn(2, 1, 8, 8)
    expected = F.conv2d(grey.expand(-1, 3, -1, -1), weight, bias, 4)
    torch.testing.assert_close(stem(grey.expand(-1, 10, -1, -1), "s2_10"), expected, atol=1e-5, rtol=1e-5)
    pixels = torch.randn(2, 3, 8, 8)
    if name == "dual":
        torch.testing.assert_close(stem(pixels, "rgb"), F.conv2d(pixels, weight, bias, 4), atol=1e-5, rtol=1e-5)
