"""What lies over the parcels: water, woods, orchards, villages, roads and clouds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deo_bench.data.scenes.layout import places, smooth, turned
from deo_bench.data.scenes.spectra import spectrum

SIZE = 64
"""Pixels of 10 m along a scene's side."""


@dataclass(frozen=True)
class Layer:
    """Something over the ground: cover [H, W] from 0 to 1, its colour a mix [K, H, W] of spectra [K, C].

    What has a sharp edge (shores, roofs, roads) goes from 1 to 0 within one pixel, of whatever size.
    """

    cover: np.ndarray
    spectra: np.ndarray
    mix: np.ndarray

    @classmethod
    def plain(cls, cover: np.ndarray, colour: np.ndarray) -> Layer:
        """A layer of one colour [C]."""
        return cls(cover, colour[None], np.broadcast_to(1.0, (1, *cover.shape)))


def _water(draw: np.random.Generator, pixels: int) -> Layer:
    """A river or a lake, clear or turbid."""
    rows, columns = places(pixels)
    u, v = turned(rows, columns, draw.uniform(0, 2 * np.pi))
    bent = 0.12 * smooth(draw, 3, pixels)
    is_river, middle = draw.random() < 0.5, draw.uniform(-0.25, 0.25, 2)
    width = draw.uniform(0.025, 0.05) if is_river else draw.uniform(0.12, 0.2)
    away = np.abs(u - middle[0] + bent) if is_river else np.hypot(u - middle[0], 1.5 * (v - middle[1])) + 0.4 * bent
    turbid = draw.uniform(0, 0.6)
    colour = (1 - turbid) * spectrum("sea") + turbid * spectrum("turbid water")
    return Layer.plain(np.clip((width - away) * pixels + 0.5, 0, 1), colour)


def _forest(draw: np.random.Generator, pixels: int) -> Layer:
    """A wood with an uneven edge; crowns and their shade make its texture."""
    rows, columns = places(pixels)
    middle = draw.uniform(-0.35, 0.35, 2)
    away = np.hypot(rows - middle[0], columns - middle[1]) + 0.035 * smooth(draw, 5, pixels)
    broad = draw.uniform(0, 1)
    colour = (1 - broad) * spectrum("fir forest") + broad * spectrum("aspen forest")
    crowns = np.exp(0.35 * smooth(draw, 30, pixels))
    cover = np.clip((draw.uniform(0.14, 0.24) - away) * SIZE / 2 + 0.5, 0, 1)
    return Layer(cover, colour[None], crowns[None])


def _orchard(draw: np.random.Generator, pixels: int) -> Layer:
    """Trees planted in straight rows: their crowns are as green as any, their pattern is not."""
    rows, columns = places(pixels)
    u, v = turned(rows, columns, draw.uniform(0, np.pi))
    middle, half, pitch = draw.uniform(-0.25, 0.25, 2), draw.uniform(0.1, 0.17, 2), draw.uniform(3.5, 5) / SIZE
    inside = (np.abs(u - middle[0]) < half[0]) & (np.abs(v - middle[1]) < half[1])
    crown = (0.5 + 0.5 * np.cos(2 * np.pi * u / pitch)) * (0.5 + 0.5 * np.cos(2 * np.pi * v / pitch))
    spectra = np.stack([0.8 * spectrum("sand"), spectrum("aspen forest")])
    return Layer(inside.astype(float), spectra, np.stack([1 - crown, crown]))


def _buildings(draw: np.random.Generator, pixels: int) -> Layer:
    """A village: small roofs of three materials, all turned the same way, in a loose cluster."""
    rows, columns = places(pixels)
    count = int(draw.integers(8, 17))
    u, v = turned(rows, columns, draw.uniform(0, np.pi))
    middle = draw.uniform(-0.3, 0.3, 2)[:, None] + 0.1 * draw.standard_normal((2, count))
    half = draw.uniform(0.012, 0.032, (2, count))
    roofs = np.stack([spectrum("brick"), spectrum("galvanised metal") * 2.5, spectrum("concrete")])
    colours = roofs[draw.integers(3, size=count)] * draw.uniform(0.7, 1.3, (count, 1))
    far = np.maximum(
        np.abs(u - middle[0][:, None, None]) - half[0][:, None, None],
        np.abs(v - middle[1][:, None, None]) - half[1][:, None, None],
    )
    nearest = far.min(axis=0)
    return Layer(np.clip(0.5 - nearest * pixels, 0, 1), colours, (far == nearest).astype(float))


def _road(draw: np.random.Generator, pixels: int) -> Layer:
    """A road across the scene, slightly bent, of asphalt or concrete."""
    rows, columns = places(pixels)
    u, v = turned(rows, columns, draw.uniform(0, np.pi))
    line = u - draw.uniform(-0.3, 0.3) - draw.uniform(-0.4, 0.4) * v**2
    colour = spectrum("asphalt") if draw.random() < 0.5 else 1.2 * spectrum("concrete")
    half = draw.uniform(0.9, 1.5) * (pixels // SIZE)
    return Layer.plain(np.clip(0.5 + half - np.abs(line) * pixels, 0, 1), colour)


def cloud(draw: np.random.Generator, pixels: int) -> tuple[Layer, np.ndarray]:
    """A cumulus, thin at its edge, and the light [H, W] that is left beside it, in its shadow."""
    rows, columns = places(pixels)
    middle = draw.uniform(-0.4, 0.4, 2)
    ragged = 0.03 * smooth(draw, 6, pixels)
    size, shift = draw.uniform(0.08, 0.17), draw.uniform(0.1, 0.2, 2) * np.array([-1, 1])
    away = np.hypot(rows - middle[0], columns - middle[1]) + ragged
    shaded = np.hypot(rows - middle[0] - shift[0], columns - middle[1] - shift[1]) + ragged
    white = np.array([0.62, 0.62, 0.62, 0.63, 0.64, 0.64, 0.64, 0.64, 0.46, 0.36])
    layer = Layer.plain(np.clip((size - away) * 12, 0, 1), white)
    return layer, 1 - 0.5 * np.clip((size - shaded) * 12, 0, 1)


PAINTERS: dict[str, Callable[[np.random.Generator, int], Layer]] = {
    "water": _water,
    "forest": _forest,
    "orchard": _orchard,
    "buildings": _buildings,
    "road": _road,
}
"""Uses that lie on the ground, in the order in which they are laid."""

USES = (*PAINTERS, "cloud")
"""The classes of `scenes-uses`."""
