"""The ground of a scene: parcels under their covers, and what is laid over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deo_bench.data.scenes.layout import parcels, smooth
from deo_bench.data.scenes.spectra import BANDS, MATERIALS, covers, spectrum, transmission
from deo_bench.data.scenes.uses import SIZE, Layer

THEME = (0.4, 0.5)
"""The theme material's share of the parcels' ground; what is more would make the rest of the picture needless."""

GAIN = 0.15
"""Spread of the logarithm of a parcel's brightness: it shows borders between parcels of one cover."""

SLOPE = 0.03
"""Spread of the tilt of a parcel's spectrum, from blue to the last band."""


@dataclass(frozen=True)
class Canvas:
    """The ground so far: reflectance [C, H, W] in these of the bands, classes [H, W]."""

    ground: np.ndarray
    classes: np.ndarray
    bands: slice

    @property
    def pixels(self) -> int:
        """Pixels along a side."""
        return len(self.classes)

    def paint(self, number: int, layer: Layer) -> None:
        """Lay a layer over the ground; only the places that it covers are touched."""
        at = np.flatnonzero(layer.cover)
        cover = layer.cover.ravel()[at]
        flat = self.ground.reshape(len(self.ground), -1)
        below = flat[:, at]
        spectra = layer.spectra[:, self.bands].T
        flat[:, at] = below + cover * (spectra @ layer.mix.reshape(len(layer.mix), -1)[:, at] - below)
        self.classes.ravel()[at[cover > 0.5]] = number


@dataclass(frozen=True)
class Land:
    """Parcels as they are drawn once: numbers [H, W] from 0, and of each a cover [P], bare soil [P, 1], gain [P, C].

    texture [H, W] is what makes no field of one colour.
    """

    numbers: np.ndarray
    cover: np.ndarray
    soil: np.ndarray
    gain: np.ndarray
    texture: np.ndarray

    def painted(
        self, depth: float, bands: slice = slice(None), cover: np.ndarray | None = None, gain: np.ndarray | None = None
    ) -> Canvas:
        """The fields under a water film of so many cm; covers [P] and gains [P, C] may be of another date."""
        cover = self.cover if cover is None else cover
        gain = self.gain if gain is None else gain
        spectra = ((1 - self.soil) * covers()[cover] + self.soil * spectrum("sand")) * gain
        spectra *= transmission(depth)
        ground = spectra.T[bands][:, self.numbers]
        ground *= self.texture
        return Canvas(ground, cover.astype(np.uint8)[self.numbers], bands)


def draw_land(draw: np.random.Generator, layout: str, theme: int, scale: int = 1) -> Land:
    """Parcels with their covers; each parcel has its own brightness, slope of the spectrum and share of bare soil."""
    numbers, shares = parcels(draw, layout, SIZE, scale)
    cover = _assign(draw, theme, shares)
    count = len(shares)
    soil = draw.uniform(0, 0.2, (count, 1))
    slope = SLOPE * draw.standard_normal((count, 1)) * np.linspace(-1, 1, len(BANDS))
    gain = np.exp(GAIN * draw.standard_normal((count, 1)) + slope)
    texture = 1 + 0.05 * smooth(draw, 16, len(numbers)) + 0.05 * smooth(draw, 40, len(numbers))
    return Land(numbers, cover, soil, gain, texture)


def _assign(draw: np.random.Generator, theme: int, shares: np.ndarray) -> np.ndarray:
    """A cover for each parcel [P]: the theme until it has its share, then five others in turn."""
    others = draw.permutation(np.delete(np.arange(len(MATERIALS)), theme))[:5]
    order = draw.permutation(len(shares))
    before = np.cumsum(shares[order]) - shares[order] / 2
    is_theme = before < draw.uniform(*THEME)
    is_theme[0] = True
    cover = np.empty(len(shares), dtype=np.int64)
    cover[order] = np.where(is_theme, theme, others[np.arange(len(shares)) % len(others)])
    return cover
