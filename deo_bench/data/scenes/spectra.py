"""Reflectance of materials in the ten Sentinel-2 bands, as published, and the five pairs that RGB cannot tell apart."""

from __future__ import annotations

import functools

import numpy as np

from deo_bench.bands import band_set

BANDS = band_set("s2_10")
VISIBLE = slice(0, 3)
"""Where blue, green and red stand among the bands."""

SPECTRA: dict[str, tuple[float, ...]] = {
    "lawn": (0.045, 0.091, 0.041, 0.119, 0.498, 0.688, 0.701, 0.704, 0.317, 0.156),
    "hyacinth": (0.108, 0.197, 0.095, 0.233, 0.687, 0.785, 0.791, 0.794, 0.311, 0.124),
    "golden grass": (0.125, 0.169, 0.233, 0.257, 0.276, 0.292, 0.307, 0.315, 0.331, 0.235),
    "cheatgrass": (0.082, 0.104, 0.142, 0.157, 0.171, 0.186, 0.202, 0.210, 0.318, 0.293),
    "burnt ground": (0.029, 0.034, 0.042, 0.045, 0.048, 0.052, 0.056, 0.059, 0.153, 0.208),
    "asphalt": (0.075, 0.088, 0.104, 0.110, 0.115, 0.120, 0.124, 0.127, 0.196, 0.214),
    "white sheeting": (0.837, 0.839, 0.819, 0.812, 0.806, 0.798, 0.785, 0.774, 0.568, 0.307),
    "cinder": (0.331, 0.354, 0.367, 0.367, 0.366, 0.364, 0.359, 0.356, 0.346, 0.308),
    "meadow straw": (0.109, 0.167, 0.264, 0.296, 0.321, 0.345, 0.369, 0.382, 0.395, 0.235),
    "brick": (0.082, 0.118, 0.239, 0.250, 0.254, 0.248, 0.239, 0.234, 0.272, 0.254),
    "sand": (0.182, 0.225, 0.256, 0.266, 0.274, 0.283, 0.291, 0.294, 0.387, 0.379),
    "fir forest": (0.013, 0.023, 0.016, 0.037, 0.103, 0.123, 0.129, 0.133, 0.060, 0.031),
    "aspen forest": (0.028, 0.047, 0.030, 0.073, 0.248, 0.298, 0.311, 0.319, 0.137, 0.064),
    "sea": (0.033, 0.038, 0.025, 0.024, 0.021, 0.020, 0.020, 0.020, 0.019, 0.016),
    "turbid water": (0.165, 0.172, 0.153, 0.144, 0.113, 0.110, 0.096, 0.083, 0.005, 0.005),
    "concrete": (0.250, 0.292, 0.315, 0.317, 0.318, 0.318, 0.315, 0.312, 0.338, 0.338),
    "galvanised metal": (0.092, 0.088, 0.078, 0.075, 0.072, 0.068, 0.064, 0.061, 0.116, 0.123),
}
"""Reflectance in B02, B03, B04, B05, B06, B07, B08, B8A, B11, B12, to three decimals.

USGS Spectral Library Version 7 (Kokaly et al. 2017, https://doi.org/10.3133/ds1035), in its own convolution to
Sentinel-2 (splib07b, `rsSentinel2`; public domain). Samples in order: Lawn_Grass GDS91; Hyacinth DWO-3-DEL-2;
Grass_Golden_Dry GDS480; Cheatgrass ANPC1; BurnArea_Traverse WRF00-01; Asphalt GDS376; Fiberglass GDS335 white
roofing; Cinder_Block GDS356; Grass CA01-TACA-1 meadow NPV; Brick GDS353; Sand DWO-3-DEL2ar1; Douglas-Fir YNP-DF-1;
Aspen YNP-AS-1; Seawater_Coast_Chl SW1; Water+Montmor SWy-2 1.67 g/l; Concrete GDS375; GalvanizedSheetMetal GDS334.
"""

PAIRS = (
    ("lawn", "hyacinth", 0.075),
    ("golden grass", "cheatgrass", 0.14),
    ("burnt ground", "asphalt", 0.06),
    ("white sheeting", "cinder", 0.22),
    ("meadow straw", "brick", 0.15),
)
"""The metamers, and the mean visible reflectance that both of a pair are scaled to."""

MATERIALS = tuple(name for pair in PAIRS for name in pair[:2])
"""The ten cover classes; partners stand side by side."""

LIKENESS = 0.9
"""How far the visible bands of each go to the pair's mean: laboratory samples are near-metamers, these are nearer."""

WATER_ABSORPTION = np.array([0, 0, 0, 0, 0, 0, 0.04, 0.05, 6.7, 16.5])
"""Absorption of liquid water per cm at each band's centre (Hale and Querry 1973); nothing in the visible."""


def spectrum(name: str) -> np.ndarray:
    """The published reflectance [C] of a material."""
    return np.array(SPECTRA[name])


@functools.cache
def covers() -> np.ndarray:
    """Reflectance [10, C] of the cover classes: published spectra, scaled by pair and drawn together in the visible."""
    rows = []
    for first, second, level in PAIRS:
        pair = np.stack([spectrum(first), spectrum(second)])
        pair *= level / pair[:, VISIBLE].mean(axis=1, keepdims=True)
        visible = pair[:, VISIBLE]
        pair[:, VISIBLE] = visible + LIKENESS * (visible.mean(axis=0) - visible)
        rows.append(pair)
    table = np.concatenate(rows)
    table.setflags(write=False)
    return table


def transmission(depth: float) -> np.ndarray:
    """What a film of liquid water of so many cm lets through, per band [C] (Beer and Lambert)."""
    return np.asarray(np.exp(-depth * WATER_ABSORPTION))
