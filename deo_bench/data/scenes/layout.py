"""How land is cut into parcels: six layouts, each a map from places to parcel numbers, free of any pixel grid."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

Layout = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]


_SPLINE_POWER = 151 / 315
"""The integral of the squared cubic B-spline: the variance it leaves of unit normals, in each direction."""


@functools.lru_cache(maxsize=64)
def _spline(knots: int, pixels: int) -> np.ndarray:
    """Cubic B-spline weights [pixels, knots + 3]."""
    at = (np.arange(pixels) + 0.5) / pixels * knots
    first = np.minimum(at.astype(np.int64), knots - 1)
    t = at - first
    basis = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    weights = np.zeros((pixels, knots + 3))
    weights[np.arange(pixels)[:, None], first[:, None] + np.arange(4)] = basis
    return weights


def smooth(draw: np.random.Generator, knots: int, pixels: int) -> np.ndarray:
    """A smooth field [pixels, pixels] of about unit spread; the same draw is the same field at any resolution."""
    weights = _spline(knots, pixels)
    return np.asarray(weights @ draw.standard_normal((knots + 3, knots + 3)) @ weights.T / _SPLINE_POWER)


@functools.lru_cache(maxsize=8)
def places(pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column [pixels, pixels] of each pixel's centre, from -0.5 to 0.5."""
    line = (np.arange(pixels) + 0.5) / pixels - 0.5
    rows, columns = np.meshgrid(line, line, indexing="ij")
    return rows, columns


def turned(rows: np.ndarray, columns: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """The places in axes turned by an angle."""
    return np.cos(angle) * rows + np.sin(angle) * columns, np.cos(angle) * columns - np.sin(angle) * rows


def bearing(draw: np.random.Generator) -> float:
    """The angle in radians that fields lie at: a landscape's own bearing, and at most 20 degrees off it."""
    return float(draw.uniform(-0.35, 0.35))


def _cut(draw: np.random.Generator, along: np.ndarray, pitch: float) -> np.ndarray:
    """Numbers of the pieces that a line is cut into, with uneven widths around a pitch."""
    edges = np.cumsum(pitch * draw.uniform(0.6, 1.4, int(1.6 / pitch) + 4)) - 0.85
    return np.searchsorted(edges, along.ravel()).reshape(along.shape)


def _grid(draw: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Rectangular fields in two directions."""
    u, v = turned(rows, columns, bearing(draw))
    pitch = draw.uniform(0.18, 0.27)
    return _cut(draw, u, pitch) * 64 + _cut(draw, v, pitch)


def _strips(draw: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Long narrow fields side by side."""
    u, v = turned(rows, columns, bearing(draw))
    return _cut(draw, u, draw.uniform(0.045, 0.07)) * 64 + _cut(draw, v, draw.uniform(0.6, 0.9))


def _pivots(draw: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Circles watered from their centre, and the corners that the water does not reach."""
    pitch = draw.uniform(0.3, 0.42)
    u, v = turned(rows, columns, bearing(draw))
    u, v = u / pitch + draw.uniform(8, 9), v / pitch + draw.uniform(8, 9)
    cells = np.floor(u).astype(np.int64) * 64 + np.floor(v).astype(np.int64)
    outside = (u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 > draw.uniform(0.42, 0.49) ** 2
    return cells + 4096 * outside


def _voronoi(draw: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Irregular many-cornered fields: each place belongs to the nearest of scattered points."""
    points = draw.uniform(-0.6, 0.6, (int(draw.integers(18, 36)), 2))
    nearest = (points**2).sum(axis=1)[:, None] - 2 * points @ np.stack([rows.ravel(), columns.ravel()])
    return nearest.argmin(axis=0).reshape(rows.shape)


def _contours(draw: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Terraces that follow the height of a hilly ground."""
    hills = smooth(draw, 2, len(rows))
    u, v = turned(rows, columns, bearing(draw))
    return np.floor((hills + u) * draw.uniform(7, 11)).astype(np.int64) * 64 + _cut(draw, v, 0.7)


def _radial(draw: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Wedges that run out from a village, cut by a ring."""
    centre = draw.uniform(-0.3, 0.3, 2)
    u, v = rows - centre[0], columns - centre[1]
    wedges = int(draw.integers(12, 20))
    around = np.cumsum(draw.uniform(0.6, 1.4, wedges))
    angle = np.arctan2(u, v) / (2 * np.pi) + 0.5
    wedge = np.searchsorted(around / around[-1], angle.ravel()).reshape(rows.shape)
    return wedge * 64 + (np.hypot(u, v) > draw.uniform(0.2, 0.45))


LAYOUTS: dict[str, Layout] = {
    "grid": _grid,
    "strips": _strips,
    "pivots": _pivots,
    "voronoi": _voronoi,
    "contours": _contours,
    "radial": _radial,
}
"""The six layouts by name; the order is the order of classes."""


def parcels(draw: np.random.Generator, name: str, size: int, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Parcel numbers [size * scale, size * scale] from 0 without gaps, and each parcel's share of the scene [P].

    Shares, and with them all that is drawn a parcel, are taken at scale 1, so a finer picture is of the same ground.
    """
    before = draw.bit_generator.state
    coarse = LAYOUTS[name](draw, *places(size))
    least = coarse.min()
    areas = np.bincount((coarse - least).ravel())
    number = np.cumsum(areas > 0) - 1
    if scale > 1:
        draw.bit_generator.state = before
        coarse = LAYOUTS[name](draw, *places(size * scale))
    found = number[np.clip(coarse - least, 0, len(number) - 1)]
    return np.maximum(found, 0), areas[areas > 0] / size**2
