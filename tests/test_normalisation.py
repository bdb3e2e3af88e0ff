"""Normalisations against their definitions, worked out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.normalisation import FMOW_RGB, FMOW_SENTINEL, Normalisation, published, zscore

S2 = BAND_SETS["s2_10"]
RGB = [S2.index(band) for band in BAND_SETS["rgb"]]


def pixels(batch: int = 3, seed: int = 0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 10, 5, 4, generator=draws, dtype=torch.float64) * 4000 + 1


def test_digital_numbers_become_z_scores_by_band_name() -> None:
    given = pixels()
    made = published("s2_dn_zscore", S2).apply(Images(given, S2, "dn"))
    for at, band in enumerate(S2):
        mean, std = FMOW_SENTINEL[band]
        torch.testing.assert_close(made[:, at], (given[:, at] - mean) / std)
    # The numbers themselves, of the first, the red and the last band (FACTS 1.3).
    assert (FMOW_SENTINEL["B02"][0], FMOW_SENTINEL["B04"][1], FMOW_SENTINEL["B12"]) == (
        1184.382,
        965.231,
        (1247.919, 1087.602),
    )
    as_reflectance = published("s2_dn_zscore", S2).apply(Images(given / 1e4, S2, "reflectance"))
    torch.testing.assert_close(as_reflectance, made)


def test_red_green_and_blue_over_their_maximum_and_the_rest_by_digital_numbers() -> None:
    given = pixels()
    made = published("hr_maxscale", S2).apply(Images(given, S2, "dn"))
    for image in range(len(given)):
        brightest = given[image, RGB].max()
        for at, band in enumerate(S2):
            mean, std = FMOW_RGB.get(band, FMOW_SENTINEL[band])
            value = given[image, at] / brightest if at in RGB else given[image, at]
            torch.testing.assert_close(made[image, at], (value - mean) / std)
    alone = published("hr_maxscale", BAND_SETS["rgb"]).apply(Images(given, S2, "dn").pick(BAND_SETS["rgb"]))
    torch.testing.assert_close(alone, made[:, RGB])


def test_colours_that_are_in_display_range_already_are_not_scaled_again() -> None:
    given = pixels()
    given[:, RGB] = torch.rand(3, 3, 5, 4, dtype=torch.float64) / 2
    images = Images(given, S2, "dn", rgb_unit="display")
    made = published("hr_maxscale", S2).apply(images)
    mean, std = FMOW_RGB["B03"]
    torch.testing.assert_close(made[:, S2.index("B03")], (given[:, S2.index("B03")] - mean) / std)
    # Another normalisation brings them from display range to its own unit: 1 is a reflectance of 0.3.
    mean, std = FMOW_SENTINEL["B03"]
    made = published("s2_dn_zscore", S2).apply(images)
    torch.testing.assert_close(made[:, S2.index("B03")], (given[:, S2.index("B03")] * 3000 - mean) / std)
    native = Normalisation("display", (0.5,) * 3, (0.25,) * 3).apply(images.pick(BAND_SETS["rgb"]))
    torch.testing.assert_close(native, (given[:, RGB] - 0.5) / 0.25)


def test_two_sigma_is_cut_to_bytes() -> None:
    given = pixels()
    made = published("two_sigma_uint8", S2).apply(Images(given, S2, "dn")).numpy()
    for at, band in enumerate(S2):
        mean, std = FMOW_SENTINEL[band]
        low, high = mean - 2 * std, mean + 2 * std
        expected = np.clip((given[:, at].numpy() - low) / (high - low) * 255, 0, 255).astype(np.uint8) / 255
        np.testing.assert_allclose(made[:, at], expected, atol=1e-12)
    assert made.max() == 1.0


def test_a_black_image_stays_finite() -> None:
    made = published("hr_maxscale", S2).apply(Images(torch.zeros(1, 10, 2, 2), S2, "dn"))
    assert made.isfinite().all()


@pytest.mark.parametrize("name", ["s2_dn_zscore", "hr_maxscale", "two_sigma_uint8"])
def test_bands_without_statistics_are_named(name: str) -> None:
    with pytest.raises(UserError, match="no statistics of VV, L5"):
        published(name, ("B02", "VV", "L5"))  # type: ignore[arg-type]


def test_float64_keeps_its_precision() -> None:
    """The constants are not rounded to float32 on the way."""
    zero = Images(torch.zeros(1, 1, 1, 1, dtype=torch.float64), ("B02",), "dn")
    made = published("s2_dn_zscore", ("B02",)).apply(zero)
    assert made.item() == pytest.approx(-1184.382 / 650.284, rel=1e-15)


def test_a_band_that_does_not_vary_is_nought_and_the_others_are_what_they_were() -> None:
    given = pixels()
    given[:, 1] = 7
    mean, std = given.mean((0, 2, 3)), given.std((0, 2, 3))
    assert std[1] == 0
    made = zscore(given, mean, std)
    assert (made[:, 1] == 0).all()
    kept = [at for at in range(10) if at != 1]
    assert torch.equal(made[:, kept], ((given - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1))[:, kept])
