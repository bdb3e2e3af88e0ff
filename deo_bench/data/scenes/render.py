"""One scene: its factors drawn independently, its ground painted, lit, clouded and read by a noisy sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deo_bench.data.scenes.layout import LAYOUTS, parcels, smooth
from deo_bench.data.scenes.sensor import sense
from deo_bench.data.scenes.spectra import BANDS, MATERIALS, VISIBLE, covers, spectrum, transmission
from deo_bench.data.scenes.uses import PAINTERS, SIZE, USES, Layer, cloud

PARCELS = tuple(LAYOUTS)
"""The classes of `scenes-parcels`."""

CLASSES = (*MATERIALS, *USES)
"""What the class map's numbers mean: the cover of a parcel, or what lies over it."""

MOISTURE = (0.0, 0.012, 0.024, 0.036, 0.048)
"""Depth of the water film in cm at each of the five levels; it dims the two short-wave infrared bands alone."""

PRESENT = 0.4
"""The chance of each use."""

LEAST = 0.002
"""The share of the scene from which on a use counts as seen (8 pixels of 64 x 64)."""

THEME = (0.4, 0.5)
"""The theme material's share of the parcels' ground; what is more would make the rest of the picture needless."""

LIGHT = 0.38
"""Spread of the logarithm of the light within a scene: without it, brightness alone would tell covers apart."""

SUN = 0.1
"""Spread of the logarithm of the light between scenes."""

GAIN = 0.15
"""Spread of the logarithm of a parcel's brightness: it shows borders between parcels of one cover."""

SLOPE = 0.03
"""Spread of the tilt of a parcel's spectrum, from blue to the last band."""


@dataclass(frozen=True)
class Factors:
    """What is drawn for a scene, every factor independent of the others; uses has a truth value each."""

    material: int
    moisture: int
    layout: int
    uses: tuple[bool, ...]


@dataclass(frozen=True)
class Scene:
    """A scene: image [C, H, W] in digital numbers (reflectance times 10,000), classes [H, W], and its factors."""

    image: np.ndarray
    classes: np.ndarray
    factors: Factors

    @property
    def uses(self) -> tuple[bool, ...]:
        """Which uses are to be seen: drawn ones that a cloud or the scene's edge hides are not."""
        pixels = np.bincount(self.classes.ravel(), minlength=len(CLASSES))[len(MATERIALS) :]
        return tuple(bool(seen) for seen in pixels >= LEAST * self.classes.size)


def draw_factors(draw: np.random.Generator) -> Factors:
    """Independent, uniform factors (each use with its own coin)."""
    material, moisture, layout = (int(draw.integers(n)) for n in (len(MATERIALS), len(MOISTURE), len(PARCELS)))
    return Factors(material, moisture, layout, tuple(bool(coin) for coin in draw.random(len(USES)) < PRESENT))


def render(draw: np.random.Generator, factors: Factors | None = None, scale: int = 1, visible: bool = False) -> Scene:
    """The scene of a generator, `scale` times finer than 10 m; with `visible`, blue, green and red are all of it.

    A finer picture is of the same ground, light and clouds: its edges are sharper and its noise is another.
    """
    factors = factors or draw_factors(draw)
    canvas = _fields(draw, factors, scale, VISIBLE if visible else slice(None))
    for number, (wanted, paint) in enumerate(zip(factors.uses[:-1], PAINTERS.values(), strict=True)):
        if wanted:
            canvas.paint(len(MATERIALS) + number, paint(draw, canvas.pixels))
    canvas.ground[...] *= _light(draw, canvas.pixels)
    if factors.uses[-1]:
        layer, shadow = cloud(draw, canvas.pixels)
        canvas.ground[...] *= shadow
        canvas.paint(len(CLASSES) - 1, layer)
    return Scene(sense(draw, canvas.ground, scale), canvas.classes, factors)


@dataclass(frozen=True)
class _Canvas:
    """The ground so far: reflectance [C, H, W] in these of the bands, classes [H, W]."""

    ground: np.ndarray
    classes: np.ndarray
    bands: slice

    @property
    def pixels(self) -> int:
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


def _fields(draw: np.random.Generator, factors: Factors, scale: int, bands: slice) -> _Canvas:
    """Parcels with their covers; each parcel has its own brightness, slope of the spectrum and share of bare soil."""
    numbers, shares = parcels(draw, PARCELS[factors.layout], SIZE, scale)
    cover = _assign(draw, factors.material, shares)
    count = len(shares)
    soil = draw.uniform(0, 0.2, (count, 1))
    slope = SLOPE * draw.standard_normal((count, 1)) * np.linspace(-1, 1, len(BANDS))
    gain = np.exp(GAIN * draw.standard_normal((count, 1)) + slope)
    spectra = ((1 - soil) * covers()[cover] + soil * spectrum("sand")) * gain
    spectra *= transmission(MOISTURE[factors.moisture])
    ground = spectra.T[bands][:, numbers]
    ground *= 1 + 0.05 * smooth(draw, 16, len(numbers)) + 0.05 * smooth(draw, 40, len(numbers))
    return _Canvas(ground, cover.astype(np.uint8)[numbers], bands)


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


def _light(draw: np.random.Generator, pixels: int) -> np.ndarray:
    """Smooth light [H, W] over the ground: slopes toward and away from the sun, and the sun's height."""
    return np.asarray(np.exp(LIGHT * smooth(draw, 3, pixels) + SUN * draw.standard_normal()))
