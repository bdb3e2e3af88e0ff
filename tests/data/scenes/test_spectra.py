"""Materials: partners look alike in the visible and differ beyond it."""

from __future__ import annotations

import numpy as np
import pytest

from deo_bench.data.scenes.spectra import (
    BANDS,
    MATERIALS,
    PAIRS,
    SPECTRA,
    VISIBLE,
    WATER_ABSORPTION,
    covers,
    transmission,
)


def _partners() -> list[tuple[str, np.ndarray, np.ndarray]]:
    table = covers()
    return [(first, table[2 * at], table[2 * at + 1]) for at, (first, _, _) in enumerate(PAIRS)]


@pytest.mark.parametrize(("name", "first", "second"), _partners(), ids=[pair[0] for pair in PAIRS])
def test_partners_are_alike_in_rgb_and_apart_beyond_it(name: str, first: np.ndarray, second: np.ndarray) -> None:
    visible = np.abs(first - second)[VISIBLE]
    beyond = np.abs(np.log(first / second))[3:]
    assert visible.max() < 0.01, f"{name} and its partner differ by {visible.max():.3f} in the visible"
    assert beyond.max() > 0.2, f"{name} and its partner differ by {beyond.max():.0%} at most beyond the visible"


def test_partners_are_nearer_in_rgb_than_any_others() -> None:
    table = covers()[:, VISIBLE]
    apart = np.linalg.norm(table[:, None] - table[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (apart.argmin(axis=1) == np.arange(len(table)) ^ 1).all()


def test_every_spectrum_has_the_ten_bands_and_is_a_reflectance() -> None:
    assert BANDS == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    assert len(set(MATERIALS)) == 10 and set(MATERIALS) <= set(SPECTRA)
    for name, values in SPECTRA.items():
        assert len(values) == 10, name
        assert min(values) > 0 and max(values) < 1, name


def test_published_values_are_kept_beyond_the_visible_up_to_scale() -> None:
    ratio = covers()[0, 3:] / np.array(SPECTRA["lawn"])[3:]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)


def test_moisture_dims_the_short_wave_infrared_alone() -> None:
    dry, moist = transmission(0.0), transmission(0.03)
    assert (dry == 1).all()
    assert (moist[VISIBLE] == 1).all() and (moist[3:8] > 0.99).all()
    assert moist[8] == pytest.approx(np.exp(-0.03 * 6.7)) and moist[9] < moist[8] < 0.9
    assert WATER_ABSORPTION.shape == (10,)
