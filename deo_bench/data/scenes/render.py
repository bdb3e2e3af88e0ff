"""One scene: its factors drawn independently, its ground painted, lit, clouded and read by a noisy sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deo_bench.data.scenes.ground import draw_land
from deo_bench.data.scenes.layout import LAYOUTS, smooth
from deo_bench.data.scenes.sensor import sense
from deo_bench.data.scenes.spectra import MATERIALS, VISIBLE
from deo_bench.data.scenes.uses import PAINTERS, USES, cloud

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

LIGHT = 0.38
"""Spread of the logarithm of the light within a scene: without it, brightness alone would tell covers apart."""

SUN = 0.1
"""Spread of the logarithm of the light between scenes."""


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
    land = draw_land(draw, PARCELS[factors.layout], factors.material, scale)
    canvas = land.painted(MOISTURE[factors.moisture], VISIBLE if visible else slice(None))
    for number, (wanted, paint) in enumerate(zip(factors.uses[:-1], PAINTERS.values(), strict=True)):
        if wanted:
            canvas.paint(len(MATERIALS) + number, paint(draw, canvas.pixels))
    canvas.ground[...] *= _light(draw, canvas.pixels)
    if factors.uses[-1]:
        layer, shadow = cloud(draw, canvas.pixels)
        canvas.ground[...] *= shadow
        canvas.paint(len(CLASSES) - 1, layer)
    return Scene(sense(draw, canvas.ground, scale), canvas.classes, factors)


def _light(draw: np.random.Generator, pixels: int) -> np.ndarray:
    """Smooth light [H, W] over the ground: slopes toward and away from the sun, and the sun's height."""
    return np.asarray(np.exp(LIGHT * smooth(draw, 3, pixels) + SUN * draw.standard_normal()))
