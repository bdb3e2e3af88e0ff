"""Copies of images are found in whatever bands and unit they are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deo_bench.data import Pack
from deo_bench.data.shared import shared_images

BANDS = ("B02", "B03", "B04")


def pack(images: np.ndarray, bands: tuple[str, ...] = BANDS, unit: str = "dn") -> Pack:
    zeros = np.zeros(len(bands))
    return Pack("own", images, bands, unit, zeros, zeros + 1, "content", "pixels")  # type: ignore[arg-type]


def test_copies_are_found_by_row() -> None:
    images = np.random.default_rng(0).integers(0, 3000, (6, 3, 4, 4)).astype(np.uint16)
    other = np.concatenate([images[[4]], images[[1]] + 1, images[[2]]])
    assert shared_images(pack(images), np.arange(6), pack(other), np.arange(3)) == [(4, 0), (2, 2)]
    assert shared_images(pack(images), np.array([0, 1]), pack(other), np.arange(3)) == []


def test_another_unit_or_order_of_bands_hides_nothing() -> None:
    images = np.random.default_rng(0).integers(0, 3000, (3, 3, 4, 4)).astype(np.uint16)
    turned = pack((images[:, ::-1] * 1e-4).astype(np.float32), BANDS[::-1], "reflectance")
    assert shared_images(pack(images), np.arange(3), turned, np.array([1])) == [(1, 1)]


def test_without_a_common_band_or_size_nothing_can_be_equal() -> None:
    one = pack(np.zeros((1, 3, 4, 4)))
    assert shared_images(one, np.arange(1), replace(one, bands=("VV", "VH", "B12")), np.arange(1)) == []
    assert shared_images(one, np.arange(1), pack(np.zeros((1, 3, 5, 5))), np.arange(1)) == []


def test_of_two_dates_either_is_enough() -> None:
    """A pair whose later image was trained on shows it, whichever side has two dates."""
    images = np.random.default_rng(0).integers(0, 3000, (6, 3, 4, 4)).astype(np.uint16)
    pairs = replace(pack(images[:3]), later=images[3:], labels=np.zeros((3, 4, 4), np.uint8), classes=("no", "yes"))
    trained = pack(images[[4, 0]])
    assert shared_images(trained, np.arange(2), pairs, np.arange(3)) == [(1, 0), (0, 1)]
    assert shared_images(pairs, np.arange(3), trained, np.arange(2)) == [(1, 0), (0, 1)]
    assert shared_images(pairs, np.arange(3), pairs, np.array([2])) == [(2, 2)]


def test_what_is_said_of_images_is_not_looked_at() -> None:
    images = np.random.default_rng(0).integers(0, 3000, (2, 3, 4, 4)).astype(np.uint16)
    numbers = replace(pack(images), labels=np.array([0.5, 1.5], dtype=np.float32))
    maps = replace(pack(images), labels=np.zeros((2, 4, 4), np.uint8), ignore=255)
    assert shared_images(numbers, np.array([0]), maps, np.arange(2)) == [(0, 0)]
