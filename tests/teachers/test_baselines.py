"""Baselines without training: what they know, what they cannot know, and that they are the same each time."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from deo_bench.errors import UserError
from deo_bench.teachers import pixel_bag, random_conv
from tests.contract.backbones import BANDS, NORMALISATIONS, REGISTRY, images

NAMES = ["image_stats", "random_conv", "pixel_bag"]


def build(name, bands="s2_10", **options):
    return REGISTRY.build("teacher", name, bands, BANDS[bands], NORMALISATIONS[bands], options=options)


def shuffled(batch):
    """The same pixels elsewhere."""
    order = torch.randperm(batch.pixels[0, 0].numel(), generator=torch.Generator().manual_seed(0))
    pixels = batch.pixels.flatten(2)[:, :, order].view_as(batch.pixels)
    return type(batch)(pixels, batch.bands, batch.unit)


def test_they_are_told_which_bands_to_look_at():
    for name in NAMES:
        assert REGISTRY.get("teacher", name).facts["needs"] == "bands"
        rgb = build(name, "rgb")
        assert rgb.band_sets == {"rgb": BANDS["rgb"]} and rgb(images(16, 16)).get("mean").isfinite().all()


def test_image_statistics_are_mean_and_spread():
    batch = images(16, 16)
    pixels = (batch.pixels - 0.2) / 0.1
    expected = torch.cat([pixels.mean((2, 3)), pixels.flatten(2).std(2, correction=0)], 1)
    torch.testing.assert_close(build("image_stats")(batch).get("mean"), expected)


def test_random_convolutions_are_rectified_means():
    batch = images(16, 16)
    backbone = build("random_conv", features=8)
    response = F.conv2d(backbone.prepare(batch), backbone.weight) + backbone.bias[:, None, None]
    expected = torch.cat([response.clamp(min=0).mean((2, 3)), (-response).clamp(min=0).mean((2, 3))], 1)
    torch.testing.assert_close(backbone(batch).get("mean"), expected)
    with pytest.raises(UserError, match="features must be even"):
        build("random_conv", features=7)


def test_a_bag_of_pixels_is_a_mean_of_fourier_features():
    batch = images(16, 16)
    backbone = build("pixel_bag", features=30)
    rows = backbone.prepare(batch).permute(0, 2, 3, 1)
    expected = 2**0.5 * torch.cos(rows @ backbone.weight + backbone.phase).mean((1, 2))
    torch.testing.assert_close(backbone(batch).get("mean"), expected)


def test_a_bag_of_pixels_is_close_to_its_gaussian_kernel():
    backbone = build("pixel_bag", features=20_000, widths=[0.5])
    draw = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 10, generator=draw).mul(0.5).add(0).split(1)
    embedded = [backbone.extract(pixel.view(1, 10, 1, 1), "s2_10", ()).get("mean") for pixel in (first, second)]
    kernel = torch.exp(-(first - second).square().sum() / (2 * 0.25 * 10))
    assert (embedded[0] * embedded[1]).mean().item() == pytest.approx(kernel.item(), abs=0.03)


def test_who_sees_shape():
    batch = images(16, 16)
    for name, blind in (("image_stats", True), ("pixel_bag", True), ("random_conv", False)):
        backbone = build(name)
        same = torch.allclose(backbone(batch).get("mean"), backbone(shuffled(batch)).get("mean"), atol=1e-5)
        assert same is blind, name


def test_a_bag_of_pixels_tells_what_statistics_cannot():
    """Two mixtures of equal mean and spread a band: which band is high where another is."""
    halves = torch.cat([torch.ones(8, 16), -torch.ones(8, 16)])
    together = torch.stack([halves, halves] + [halves * 0] * 8)
    apart = torch.stack([halves, -halves] + [halves * 0] * 8)
    pixels = torch.stack([together, apart])
    statistics = build("image_stats").extract(pixels, "s2_10", ()).get("mean")
    torch.testing.assert_close(statistics[0], statistics[1])
    bag = build("pixel_bag").extract(pixels, "s2_10", ()).get("mean")
    assert (bag[0] - bag[1]).abs().max() > 0.05


@pytest.mark.parametrize("name", NAMES)
def test_the_same_each_time_and_in_any_chunks(name, monkeypatch):
    batch = images(16, 16, count=5)
    said = build(name)(batch).get("mean")
    assert build(name)(batch).get("mean").equal(said)
    for part in (random_conv, pixel_bag):
        monkeypatch.setattr(part, "CHUNK", 1)
    torch.testing.assert_close(build(name)(batch).get("mean"), said)


@pytest.mark.parametrize("name", ["random_conv", "pixel_bag"])
def test_another_seed_is_another_draw(name):
    batch = images(16, 16)
    assert not torch.allclose(build(name, seed=1)(batch).get("mean"), build(name)(batch).get("mean"))
