"""How a backbone wants its pixels: in which unit, minus a mean, over a spread; and the published ways to do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deo_bench.bands import SENSORS, WHITE, Unit, convert, is_visible
from deo_bench.errors import UserError
from deo_bench.features import Images

if TYPE_CHECKING:
    from torch import Tensor

Named = Literal["dataset_zscore", "s2_dn_zscore", "hr_maxscale", "two_sigma_uint8"]
"""`dataset_zscore`: by the pre-training images' own statistics; the others by fMoW-Sentinel's, see `published`."""

FMOW_SENTINEL = dict(
    zip(
        (band.name for band in SENSORS["sentinel2"]),
        [
            (1370.192, 633.152),
            (1184.382, 650.284),
            (1120.771, 712.125),
            (1136.260, 965.231),
            (1263.739, 948.982),
            (1645.403, 1108.067),
            (1846.870, 1258.364),
            (1762.595, 1233.149),
            (1972.624, 1364.387),
            (582.726, 472.380),
            (14.771, 14.311),
            (1732.164, 1310.370),
            (1247.919, 1087.602),
        ],
        strict=True,
    )
)
"""Mean and standard deviation of each Sentinel-2 band in digital numbers (SatMAE, arXiv 2207.08051, its code)."""

FMOW_RGB = dict(
    zip(("B04", "B03", "B02"), [(0.4182007, 0.2877428), (0.4214799, 0.2754177), (0.3991276, 0.2764018)], strict=True)
)
"""Mean and standard deviation of red, green and blue in [0, 1] (SatMAE's code, for fMoW-RGB)."""


LEAST = 1e-6
"""The spread of a band that does not vary, so that it is 0 once normalised."""


@dataclass(frozen=True)
class Normalisation:
    """Pixels in `unit`, minus `mean`, over `std` (a number a band).

    white: the reflectance shown as white, for `unit = "display"`; max_scaled: red, green and blue are divided by their
    own joint maximum in each image first, and their `mean` and `std` are in that range; two_sigma: instead of a
    z-score, mean - 2 std to mean + 2 std is stretched over 0 to 255, clipped, cut to whole numbers and divided by 255.
    """

    unit: Unit
    mean: tuple[float, ...]
    std: tuple[float, ...]
    white: float = WHITE
    max_scaled: bool = False
    two_sigma: bool = False

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError("a normalisation needs as many means as standard deviations")

    def apply(self, images: Images) -> Tensor:
        """Normalised pixels [B, C, H, W] of images whose bands are already picked."""
        pixels = convert(images.pixels, images.unit, self.unit, self.white)
        if self.max_scaled or images.rgb_unit is not None:
            at = [place for place, band in enumerate(images.bands) if is_visible(band)]
            pixels = pixels.clone()
            pixels[:, at] = self._rgb(images, at)
        scores = zscore(pixels, pixels.new_tensor(self.mean), pixels.new_tensor(self.std))
        return ((scores + 2) / 4 * 255).clamp(0, 255).floor() / 255 if self.two_sigma else scores

    def _rgb(self, images: Images, at: Sequence[int]) -> Tensor:
        """Red, green and blue as their mean and std expect them."""
        rgb = images.pixels[:, at]
        if images.rgb_unit is None:
            return max_scaled(rgb)
        return rgb if self.max_scaled else convert(rgb, images.rgb_unit, self.unit, self.white)


def max_scaled(rgb: Tensor) -> Tensor:
    """Images [B, 3, H, W] over their own joint maximum, clipped to [0, 1] (DEO's code, `DataAugmentationDINOMS`)."""
    if not rgb.numel():
        return rgb
    return (rgb / rgb.amax((1, 2, 3), keepdim=True).clamp_min(1e-6)).clamp(0, 1)


def published(name: Named, bands: Sequence[str]) -> Normalisation:
    """A published way to normalise Sentinel-2 bands, by the statistics of fMoW-Sentinel.

    `s2_dn_zscore`: z-scores of digital numbers (SatMAE; DEO's unused `normalize_s2`); `hr_maxscale`: red, green and
    blue over their maximum in each image, then by fMoW-RGB's statistics, the other bands as before (DEO's
    `normalize_hr`, which its training uses); `two_sigma_uint8`: clipped at two standard deviations and cut to 256
    levels (SatMAE's loader). A band without statistics is an error that names it.
    """
    unknown = [band for band in bands if band not in FMOW_SENTINEL]
    if unknown:
        raise UserError(f"normalise = {name!r} has no statistics of {', '.join(unknown)}: it is for Sentinel-2 bands")
    table = FMOW_SENTINEL | (FMOW_RGB if name == "hr_maxscale" else {})
    mean, std = zip(*(table[band] for band in bands), strict=True)
    return Normalisation("dn", mean, std, max_scaled=name == "hr_maxscale", two_sigma=name == "two_sigma_uint8")


def zscore(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Pixels [B, C, H, W] minus a mean over a spread, [C] each; a spread of 0 counts as `LEAST`."""
    mean, std = (each.to(pixels).view(1, -1, 1, 1) for each in (mean, std))
    return (pixels - mean) / std.where(std != 0, LEAST)
