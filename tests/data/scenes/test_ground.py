"""The ground: drawn once, painted for any date."""

from __future__ import annotations

import numpy as np
import pytest

from deo_bench.data.scenes.ground import Land, draw_land
from deo_bench.data.scenes.spectra import MATERIALS, covers, spectrum, transmission
from deo_bench.data.scenes.uses import Layer
from deo_bench.draws import numpy_generator


@pytest.fixture(scope="module")
def land() -> Land:
    return draw_land(numpy_generator("land", 0), "grid", 3)


def test_a_field_is_its_cover_mixed_with_soil_under_water(land: Land) -> None:
    canvas = land.painted(0.024)
    for row, column in ((5, 9), (40, 22)):
        parcel = land.numbers[row, column]
        soil, cover = land.soil[parcel, 0], land.cover[parcel]
        dry = ((1 - soil) * covers()[cover] + soil * spectrum("sand")) * land.gain[parcel]
        np.testing.assert_allclose(
            canvas.ground[:, row, column], dry * transmission(0.024) * land.texture[row, column], rtol=1e-12
        )
        assert canvas.classes[row, column] == cover


def test_another_date_has_the_same_parcels_with_other_covers(land: Land) -> None:
    cover = land.cover.copy()
    cover[0] = (cover[0] + 1) % len(MATERIALS)
    first, second = land.painted(0.0), land.painted(0.0, cover=cover)
    apart = (first.ground != second.ground).any(axis=0)
    np.testing.assert_array_equal(apart, land.numbers == 0)
    np.testing.assert_array_equal(first.classes != second.classes, land.numbers == 0)
    brighter = land.painted(0.0, gain=1.1 * land.gain)
    np.testing.assert_allclose(brighter.ground, 1.1 * first.ground)


def test_a_layer_hides_what_it_covers_and_names_what_it_mostly_covers(land: Land) -> None:
    canvas = land.painted(0.0)
    below = canvas.ground.copy()
    cover = np.zeros((64, 64))
    cover[:, 10], cover[:, 11], cover[:, 12] = 1.0, 0.6, 0.4
    canvas.paint(14, Layer.plain(cover, np.full(10, 0.5)))
    np.testing.assert_allclose(canvas.ground[:, :, 10], 0.5)
    np.testing.assert_allclose(canvas.ground[:, :, 12], 0.4 * 0.5 + 0.6 * below[:, :, 12])
    np.testing.assert_array_equal(canvas.ground[:, :, 13:], below[:, :, 13:])
    assert (canvas.classes[:, 10:12] == 14).all() and (canvas.classes[:, 12:] < 10).all()
