"""A wrong unit is warned of, for teachers that take z-scores and for those that only scale; a dark band is not one."""

from __future__ import annotations

import warnings

import pytest
import torch

from deo_bench.bands import BAND_SETS
from deo_bench.engine.checks import UnitWarning, warn_of_units
from deo_bench.features import Images
from tests.contract.backbones import REGISTRY

SPREADS = torch.full((13, 1, 1), 0.03)
SPREADS[10] = 0.002  # cirrus


def scene(unit, factor=1.0):
    pixels = (0.2 + SPREADS * torch.randn(2, 13, 32, 32, generator=torch.Generator().manual_seed(0))) * factor
    return Images(pixels, BAND_SETS["s2_13"], unit)


def check(name, images):
    with torch.device("meta"):
        teacher = REGISTRY.build("teacher", name, False)
    warn_of_units(teacher, images, teacher.first, "native", "its data")


@pytest.mark.parametrize("name", ["ssl4eo_vits16_dino", "satlas_swinv2_tiny_ms", "dinov2_vits14"])
def test_reflectance_is_not_warned_of(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnitWarning)
        check(name, scene("reflectance"))
        check(name, scene("dn", 1e4))


@pytest.mark.parametrize(
    ("name", "unit", "factor", "told"),
    [
        ("ssl4eo_vits16_dino", "reflectance", 1e4, "its data: band B01 .* digital numbers read as reflectance"),
        ("ssl4eo_vits16_dino", "dn", 1.0, "reflectance read as digital numbers"),
        ("ssl4eo_vits14_softcon", "reflectance", 1e4, "digital numbers read as reflectance"),
        ("satlas_swinv2_tiny_ms", "dn", 1.0, "reflectance read as digital numbers"),
        ("dinov2_vits14", "dn", 1.0, "reflectance read as digital numbers"),
    ],
)
def test_a_wrong_unit_is_warned_of(name, unit, factor, told):
    with pytest.warns(UnitWarning, match=told):
        check(name, scene(unit, factor))


def flat_band(scale):
    """Red and green that vary, and a blue that is 0 throughout, with their own statistics."""
    pixels = 1000 + 200 * torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pixels[:, 2] = 0
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    return Images(pixels * scale, BAND_SETS["rgb"], "dn", mean, std)


def test_a_band_that_does_not_vary_is_told_as_such_and_hides_no_wrong_unit():
    teacher = REGISTRY.build("teacher", "dinov2_vits14", False)
    with pytest.warns(UnitWarning, match=r"^its data: B02 did not vary over the 4 images looked at") as seen:
        warn_of_units(teacher, flat_band(1), "rgb", "dataset", "its data")
    assert len(seen) == 1
    with pytest.warns(UnitWarning, match=r"band B04 .* unit = 'dn' right\?") as seen:
        warn_of_units(teacher, flat_band(1e-4), "rgb", "dataset", "its data")
    assert not any("nan" in str(each.message) for each in seen)
