"""The weights that a stem makes from wavelengths: of no order, for any band set, at a convolution's scale."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from deo_bench.bands import BAND_SETS, BANDS
from deo_bench.errors import UserError
from tests.contract.backbones import BANDS as TWO
from tests.contract.backbones import REGISTRY

TEN = BAND_SETS["s2_10"]


def build(sets=TWO, width=6, patch=4, **options):
    torch.manual_seed(0)
    return REGISTRY.build("stem", "wavelength", sets, width, patch, options={"dim": 16, "tokens": 4, **options})


@torch.no_grad()
def test_the_order_of_bands_means_nothing():
    order = [9, 3, 0, 7, 1, 8, 2, 5, 4, 6]
    stem, other = build({"s2_10": TEN}), build({"s2_10": tuple(TEN[place] for place in order)})
    pixels = torch.randn(2, 10, 8, 12)
    torch.testing.assert_close(stem(pixels, "s2_10"), other(pixels[:, order], "s2_10"))
    assert not torch.allclose(stem(pixels, "s2_10"), stem(pixels[:, order], "s2_10"), atol=1e-2)


def test_one_set_of_weights_serves_every_band_set():
    few, many = build({"rgb": TWO["rgb"]}), build({name: BAND_SETS[name] for name in ("s2_13", "hls_6", "rgb")})
    assert {key: value.shape for key, value in few.state_dict().items()} == {
        key: value.shape for key, value in many.state_dict().items()
    }
    many.load_state_dict(few.state_dict())
    pixels = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(few(pixels, "rgb"), many(pixels, "rgb"))
    assert many.parameters_of("rgb") == []


@torch.no_grad()
def test_a_tokens_weights_are_made_for_each_band_alone():
    stem = build()
    weight, bias = stem.made("rgb")
    assert weight.shape == (6, 3, 4, 4) and bias.shape == (6,)
    pixels = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(stem(pixels, "rgb"), F.conv2d(pixels, weight, bias, 4))


@torch.no_grad()
@pytest.mark.parametrize("sees", ["rgb", "s2_10"])
def test_it_starts_at_the_scale_of_a_convolution(sees):
    stem = build(width=64, patch=8, dim=64, tokens=128)
    usual = torch.nn.Conv2d(len(TWO[sees]), 64, 8, 8).weight.std()
    assert stem.made(sees)[0].std() == pytest.approx(float(usual), rel=0.25)


def test_wavelengths_are_in_nm_and_of_the_band():
    stem = build(dim=8)
    red = BANDS["B04"].wavelength
    angles = torch.tensor([red, red / 10, red / 100, red / 1000], dtype=torch.float64)
    expected = torch.cat([angles.sin(), angles.cos()]).float()
    torch.testing.assert_close(stem.waves_rgb[0], expected)
    assert stem.waves_s2_10[2].equal(stem.waves_rgb[0])


def test_gradients_reach_every_parameter():
    stem = build(layers=2)
    stem(torch.randn(2, 3, 8, 8), "rgb").square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in stem.parameters())


def test_what_does_not_fit_is_said():
    with pytest.raises(UserError, match="VV, VH has no centre wavelength"):
        build({"radar": ("B04", "VV", "VH")})
    with pytest.raises(UserError, match="dim 18 is not a multiple of 4"):
        build(dim=18)
    with pytest.raises(UserError, match="stem 'wavelength' has no filter of a band's own"):
        build().inflate(torch.zeros(6, 3, 4, 4), None)
