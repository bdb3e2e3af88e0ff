"""One scene: its factors drawn independently, its ground painted, lit, clouded and read by a noisy sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deo_bench.data.scenes.layout import LAYOUTS, parcels, places, smooth, turned
from deo_bench.data.scenes.spectra import BANDS, MATERIALS, covers, spectrum, transmission

SIZE = 64
PARCELS = tuple(LAYOUTS)
USES = ("water", "forest", "orchard", "buildings", "road", "cloud")
CLASSES = (*MATERIALS, *USES)
"""What the class map's numbers mean: the cover of a parcel, or what lies over it."""

MOISTURE = (0.0, 0.01, 0.02, 0.03, 0.04)
"""Depth of the water film in cm at each of the five levels; it dims the two short-wave infrared bands alone."""

PRESENT = 0.4
"""The chance of each use."""

THEME = (0.40, 0.50)
"""The theme material's share of the parcels' ground; what is more would make the rest of the picture needless."""

LIGHT = 0.38
"""Spread of the logarithm of the light within a scene: without it, brightness alone would tell covers apart."""

SLOPE = 0.05
NOISE = 0.006


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


def draw_factors(draw: np.random.Generator) -> Factors:
    """Independent, uniform factors (each use with its own coin)."""
    material, moisture, layout = (int(draw.integers(n)) for n in (len(MATERIALS), len(MOISTURE), len(PARCELS)))
    return Factors(material, moisture, layout, tuple(bool(coin) for coin in draw.random(len(USES)) < PRESENT))


def render(draw: np.random.Generator, factors: Factors | None = None, scale: int = 1) -> Scene:
    """The scene of a generator, `scale` times finer than 10 m; every draw but the sensor's noise is the same at any scale."""
    factors = factors or draw_factors(draw)
    canvas = _fields(draw, factors, scale)
    for number, (name, wanted) in enumerate(zip(USES, factors.uses, strict=True)):
        if wanted and name != "cloud":
            canvas.paint(len(MATERIALS) + number, _PAINTERS[name](draw, canvas.pixels))
    canvas.ground[...] *= _light(draw, canvas.pixels)
    if factors.uses[-1]:
        _cloud(draw, canvas)
    return Scene(_sense(draw, canvas.ground, scale), canvas.classes, factors)


@dataclass(frozen=True)
class _Layer:
    """Something that lies over the ground: cover [H, W] from 0 to 1, and its colour as a mix [K, H, W] of spectra [K, C]."""

    cover: np.ndarray
    spectra: np.ndarray
    mix: np.ndarray

    @classmethod
    def plain(cls, cover: np.ndarray, colour: np.ndarray) -> _Layer:
        """A layer of one colour [C]."""
        return cls(cover, colour[None], np.broadcast_to(1.0, (1, *cover.shape)))


@dataclass(frozen=True)
class _Canvas:
    """The ground so far: reflectance [C, H, W], classes [H, W]."""

    ground: np.ndarray
    classes: np.ndarray

    @property
    def pixels(self) -> int:
        return len(self.classes)

    def paint(self, number: int, layer: _Layer) -> None:
        """Lay a layer over the ground; only the places that it covers are touched."""
        at = np.flatnonzero(layer.cover)
        cover = layer.cover.ravel()[at]
        flat = self.ground.reshape(len(self.ground), -1)
        below = flat[:, at]
        flat[:, at] = below + cover * (layer.spectra.T @ layer.mix.reshape(len(layer.mix), -1)[:, at] - below)
        self.classes.ravel()[at[cover > 0.5]] = number


def _fields(draw: np.random.Generator, factors: Factors, scale: int) -> _Canvas:
    """Parcels with their covers; each parcel has its own brightness, slope of the spectrum and share of bare soil."""
    numbers, shares = parcels(draw, PARCELS[factors.layout], SIZE, scale)
    cover = _assign(draw, factors.material, shares)
    count = len(shares)
    soil = draw.uniform(0, 0.2, (count, 1))
    slope = SLOPE * draw.standard_normal((count, 1)) * np.linspace(-1, 1, len(BANDS))
    gain = np.exp(0.15 * draw.standard_normal((count, 1)) + slope)
    spectra = ((1 - soil) * covers()[cover] + soil * spectrum("sand")) * gain
    spectra *= transmission(MOISTURE[factors.moisture])
    ground = spectra.T[:, numbers]
    ground *= 1 + 0.05 * smooth(draw, 16, len(numbers)) + 0.05 * smooth(draw, 40, len(numbers))
    return _Canvas(ground, cover.astype(np.uint8)[numbers])


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
    return np.asarray(np.exp(LIGHT * smooth(draw, 3, pixels) + 0.1 * draw.standard_normal()))


def _water(draw: np.random.Generator, pixels: int) -> _Layer:
    """A river or a lake, clear or turbid."""
    rows, columns = places(pixels)
    u, v = turned(rows, columns, draw.uniform(0, 2 * np.pi))
    bent = 0.12 * smooth(draw, 3, pixels)
    is_river, middle = draw.random() < 0.5, draw.uniform(-0.25, 0.25, 2)
    width = draw.uniform(0.025, 0.05) if is_river else draw.uniform(0.12, 0.2)
    away = np.abs(u - middle[0] + bent) if is_river else np.hypot(u - middle[0], 1.5 * (v - middle[1])) + 0.4 * bent
    turbid = draw.uniform(0, 0.6)
    colour = (1 - turbid) * spectrum("sea") + turbid * spectrum("turbid water")
    return _Layer.plain(np.clip((width - away) * SIZE + 0.5, 0, 1), colour)


def _forest(draw: np.random.Generator, pixels: int) -> _Layer:
    """A wood with an uneven edge; crowns and their shade make its texture."""
    rows, columns = places(pixels)
    middle = draw.uniform(-0.35, 0.35, 2)
    away = np.hypot(rows - middle[0], columns - middle[1]) + 0.035 * smooth(draw, 5, pixels)
    broad = draw.uniform(0, 1)
    colour = (1 - broad) * spectrum("fir forest") + broad * spectrum("aspen forest")
    crowns = np.exp(0.35 * smooth(draw, 30, pixels))
    cover = np.clip((draw.uniform(0.14, 0.24) - away) * SIZE / 2 + 0.5, 0, 1)
    return _Layer(cover, colour[None], crowns[None])


def _orchard(draw: np.random.Generator, pixels: int) -> _Layer:
    """Trees planted in straight rows: their crowns are as green as any, their pattern is not."""
    rows, columns = places(pixels)
    u, v = turned(rows, columns, draw.uniform(0, np.pi))
    middle, half, pitch = draw.uniform(-0.25, 0.25, 2), draw.uniform(0.1, 0.17, 2), draw.uniform(3.5, 5) / SIZE
    inside = (np.abs(u - middle[0]) < half[0]) & (np.abs(v - middle[1]) < half[1])
    crown = (0.5 + 0.5 * np.cos(2 * np.pi * u / pitch)) * (0.5 + 0.5 * np.cos(2 * np.pi * v / pitch))
    spectra = np.stack([0.8 * spectrum("sand"), spectrum("aspen forest")])
    return _Layer(inside.astype(float), spectra, np.stack([1 - crown, crown]))


def _buildings(draw: np.random.Generator, pixels: int) -> _Layer:
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
    return _Layer(np.clip(0.5 - nearest * SIZE, 0, 1), colours, (far == nearest).astype(float))


def _road(draw: np.random.Generator, pixels: int) -> _Layer:
    """A road across the scene, slightly bent, of asphalt or concrete."""
    rows, columns = places(pixels)
    u, v = turned(rows, columns, draw.uniform(0, np.pi))
    line = u - draw.uniform(-0.3, 0.3) - draw.uniform(-0.4, 0.4) * v**2
    colour = spectrum("asphalt") if draw.random() < 0.5 else 1.2 * spectrum("concrete")
    return _Layer.plain(np.clip(0.5 + draw.uniform(0.9, 1.5) - np.abs(line) * SIZE, 0, 1), colour)


_PAINTERS = {"water": _water, "forest": _forest, "orchard": _orchard, "buildings": _buildings, "road": _road}


def _cloud(draw: np.random.Generator, canvas: _Canvas) -> None:
    """A cumulus, thin at its edge, and its shadow beside it."""
    rows, columns = places(canvas.pixels)
    middle = draw.uniform(-0.4, 0.4, 2)
    ragged = 0.03 * smooth(draw, 6, canvas.pixels)
    size, shift = draw.uniform(0.08, 0.17), draw.uniform(0.1, 0.2, 2) * np.array([-1, 1])
    away = np.hypot(rows - middle[0], columns - middle[1]) + ragged
    shaded = np.hypot(rows - middle[0] - shift[0], columns - middle[1] - shift[1]) + ragged
    canvas.ground[...] *= 1 - 0.5 * np.clip((size - shaded) * 12, 0, 1)
    white = np.array([0.62, 0.62, 0.62, 0.63, 0.64, 0.64, 0.64, 0.64, 0.46, 0.36])
    canvas.paint(len(CLASSES) - 1, _Layer.plain(np.clip((size - away) * 12, 0, 1), white))


_SCATTER = np.array([1.0, 0.66, 0.39, 0.32, 0.26, 0.21, 0.17, 0.15, 0.02, 0.01])
"""Light scattered by haze at each band relative to blue: about the wavelength's minus third power."""

_COARSE = slice(3, 6), slice(7, 10)
"""The bands that the sensor reads at 20 m; B08 between them is a 10 m band."""


def _sense(draw: np.random.Generator, ground: np.ndarray, scale: int) -> np.ndarray:
    """Digital numbers [C, H, W]: haze, each band's calibration, 20 m bands averaged, noise, rounding."""
    haze = draw.exponential(0.01)
    ground *= (1 + 0.02 * draw.standard_normal(len(BANDS)))[:, None, None]
    ground += haze * _SCATTER[:, None, None]
    block = 2 * scale
    steps = [(i, j) for i in range(block) for j in range(block)]
    for bands in _COARSE:
        part = ground[bands]
        mean = sum(part[:, i::block, j::block] for i, j in steps) / len(steps)
        for i, j in steps:
            part[:, i::block, j::block] = mean
    ground += NOISE * draw.standard_normal(ground.shape, dtype=np.float32)
    ground *= 1e4
    np.clip(ground, 1, 16_000, out=ground)
    return np.rint(ground, out=ground).astype(np.int16)
