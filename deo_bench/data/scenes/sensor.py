"""The sensor: what reflectance becomes on its way to digital numbers."""

from __future__ import annotations

import numpy as np

from deo_bench.data.scenes.spectra import BANDS

NOISE = 0.006
"""Standard deviation of the sensor's noise, in reflectance."""

CALIBRATION = 0.005
"""Relative error of each band, one a scene."""

HAZE = 0.01
"""Mean reflectance that haze adds to blue."""

_SCATTER = np.array([1.0, 0.66, 0.39, 0.32, 0.26, 0.21, 0.17, 0.15, 0.02, 0.01])
"""Light scattered by haze at each band, relative to blue: about the wavelength's minus third power."""

_COARSE = slice(3, 6), slice(7, 10)
"""The bands that the sensor reads at 20 m; B08 between them is a 10 m band."""


def sense(draw: np.random.Generator, ground: np.ndarray, scale: int) -> np.ndarray:
    """Digital numbers [C, H, W]: haze, each band's calibration, 20 m bands averaged, noise, rounding.

    The ground is of the first C bands. The noise of a finer picture is of a stream of its own: read on from where the
    10 m picture's begins, it would be the same numbers at other places.
    """
    count = len(ground)
    haze = draw.exponential(HAZE)
    ground *= (1 + CALIBRATION * draw.standard_normal(len(BANDS)))[:count, None, None]
    ground += haze * _SCATTER[:count, None, None]
    block = 2 * scale
    steps = [(i, j) for i in range(block) for j in range(block)]
    for bands in _COARSE:
        part = ground[bands]
        mean = sum(part[:, i::block, j::block] for i, j in steps) / len(steps)
        for i, j in steps:
            part[:, i::block, j::block] = mean
    noise = draw if scale == 1 else np.random.default_rng(int(draw.integers(1 << 62)))
    ground += NOISE * noise.standard_normal(ground.shape, dtype=np.float32)
    ground *= 1e4
    np.clip(ground, 1, 16_000, out=ground)
    return np.rint(ground, out=ground).astype(np.int16)
