"""Layouts: parcels without gaps, of like sizes, the same ground at any resolution."""

from __future__ import annotations

import numpy as np
import pytest

from deo_bench.data.scenes.layout import LAYOUTS, parcels, places, smooth
from deo_bench.draws import numpy_generator


@pytest.mark.parametrize("name", LAYOUTS)
def test_parcels_are_numbered_without_gaps_and_fill_the_scene(name: str) -> None:
    for trial in range(10):
        numbers, shares = parcels(numpy_generator("layout", name, trial), name, 64, 1)
        assert numbers.shape == (64, 64)
        np.testing.assert_array_equal(np.unique(numbers), np.arange(len(shares)))
        np.testing.assert_allclose(shares, np.bincount(numbers.ravel()) / 64**2)
        assert 6 <= len(shares) <= 160 and shares.max() < 0.5


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_finer_picture_shows_the_same_parcels(name: str) -> None:
    coarse, shares = parcels(numpy_generator("finer", name), name, 64, 1)
    fine, same = parcels(numpy_generator("finer", name), name, 64, 3)
    assert fine.shape == (192, 192)
    np.testing.assert_array_equal(fine[1::3, 1::3], coarse)
    np.testing.assert_array_equal(same, shares)


def test_the_number_of_parcels_does_not_tell_the_layout() -> None:
    counts = {
        name: [len(parcels(numpy_generator("sizes", name, trial), name, 64, 1)[1]) for trial in range(80)]
        for name in LAYOUTS
    }
    medians = {name: np.median(found[:40]) for name, found in counts.items()}
    right = [
        min(medians, key=lambda guess: abs(medians[guess] - count)) == name
        for name, found in counts.items()
        for count in found[40:]
    ]
    assert np.mean(right) < 0.45, medians


def test_a_smooth_field_has_unit_spread_and_ignores_the_resolution() -> None:
    fields = np.stack([smooth(numpy_generator("field", trial), 4, 64) for trial in range(200)])
    assert fields.mean() == pytest.approx(0, abs=0.1) and fields.std() == pytest.approx(1, abs=0.1)
    fine = smooth(numpy_generator("field", 0), 4, 192)
    np.testing.assert_allclose(fine[1::3, 1::3], fields[0], atol=1e-12)


def test_places_are_centred() -> None:
    rows, columns = places(64)
    assert rows.mean() == pytest.approx(0) and columns[0, 0] == pytest.approx(-0.5 + 0.5 / 64)
    np.testing.assert_array_equal(rows, columns.T)
