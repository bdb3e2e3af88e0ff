"""Hand-made descriptors see shape, lie where it lies, and do not mind brightness or colour."""

from __future__ import annotations

import math

import pytest
import torch

from deo_bench.bands import BAND_SETS
from deo_bench.features import Images
from deo_bench.teachers.descriptors import HARMONICS, oriented, shared
from tests.contract.backbones import REGISTRY

SIZE = 48


@pytest.fixture
def teacher():
    return REGISTRY.build("teacher", "descriptors")


def waves(angle, wavelength=8.0, size=SIZE, colour=(1.0, 1.0, 1.0)):
    """Stripes [1, 3, H, W] whose gradient points along an angle."""
    down, across = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    phase = (across * math.cos(angle) + down * math.sin(angle)) * 2 * math.pi / wavelength
    return (0.15 + 0.05 * phase.sin()) * torch.tensor(colour).view(1, 3, 1, 1)


def blocks(teacher, pixels):
    """Gradients, harmonics, spectrum and contrast."""
    vector = teacher(Images(pixels, BAND_SETS["rgb"], "reflectance")).get("mean")[0]
    return vector.split([24, 15 * HARMONICS, 32, 6])


@pytest.mark.parametrize("number", range(8))
def test_stripes_fall_into_their_direction(teacher, number):
    gradients, _, spectrum, _ = blocks(teacher, waves(number * math.pi / 8))
    assert gradients[:8].argmax() == number
    wavelengths = torch.linspace(math.log2(48), math.log2(2), 4)
    ring = (wavelengths - math.log2(8)).abs().argmin()
    assert spectrum.view(4, 8).argmax() == ring * 8 + number


def test_angles_are_shared_and_unsigned():
    angle = torch.tensor([0.0, math.pi / 16, math.pi / 2, -math.pi / 2, math.pi - 1e-4]).view(5, 1, 1, 1)
    shares = shared(angle, 8).flatten(1)
    torch.testing.assert_close(shares.sum(1), torch.ones(5))
    torch.testing.assert_close(shares[1, :2], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(shares[2], shares[3])
    assert shares[4].argmax() == 0


def test_gradients_have_strength():
    ramp = torch.arange(6.0).expand(1, 1, 5, 6)
    energy = oriented(ramp, 8)
    assert energy[0, 0, 2, 2] == 2 and energy[0, 1:].abs().sum() < 1e-5


def test_strips_and_grids_are_told_apart_whichever_way_they_lie(teacher):
    def strip(angle):
        return blocks(teacher, waves(angle))[1][:HARMONICS]

    def grid(angle):
        return blocks(teacher, (waves(angle) + waves(angle + math.pi / 2)) / 2)[1][:HARMONICS]

    for angle in (0.2, 1.0, 2.1):
        assert strip(angle)[0] > 0.5 and grid(angle)[0] < 0.1 < grid(angle)[1]
        torch.testing.assert_close(strip(angle)[:2], strip(0.0)[:2], atol=0.1, rtol=0)


def test_colour_and_brightness_matter_little(teacher):
    plain = torch.cat(blocks(teacher, waves(0.4)))
    red = torch.cat(blocks(teacher, waves(0.4, colour=(1.3, 0.9, 0.7))))
    dim = torch.cat(blocks(teacher, waves(0.4) * 0.7))
    turned = torch.cat(blocks(teacher, waves(1.4)))
    for near in (red, dim):
        assert (near - plain).norm() < 0.1 * (turned - plain).norm()


def test_flat_and_tiny_images_are_finite(teacher):
    for size in (16, 17, 24):
        assert torch.cat(blocks(teacher, torch.full((1, 3, size, size), 0.1))).isfinite().all()


def test_the_map_lies_where_the_shape_lies(teacher):
    pixels = torch.cat([waves(0.0)[..., :24], waves(math.pi / 2)[..., 24:]], 3)
    cells = teacher(Images(pixels, BAND_SETS["rgb"], "reflectance"), levels=("late",)).get("late")[0]
    assert cells.shape == (8, 6, 6)
    assert (cells[:, :, :2].argmax(0) == 0).all() and (cells[:, :, 4:].argmax(0) == 4).all()
