"""Stems: one convolution a band set, or one for all."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.contract.backbones import BANDS, REGISTRY


def build(name, **options):
    torch.manual_seed(0)
    return REGISTRY.build("stem", name, BANDS, 6, 4, options=options)


@pytest.mark.parametrize("name", list(REGISTRY.all("stem")))
def test_tokens_lie_on_a_grid_of_the_patch(name):
    stem = build(name)
    for sees, bands in BANDS.items():
        assert stem(torch.randn(2, len(bands), 8, 12), sees).shape == (2, 6, 2, 3)


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
