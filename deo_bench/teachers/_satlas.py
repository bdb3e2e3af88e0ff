"""What SatlasPretrain's backbones see of Sentinel-2: its true-colour image, and six bands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deo_bench.bands import BAND_SETS
from deo_bench.teachers._stretched import stretched
from deo_bench.teachers._timm import View

BRIGHTEST = 8160.0
"""The digital number that becomes 1 in bands that are not in the true-colour image (Satlas, `Normalization.md`)."""


def true_colour(entry: Mapping[str, Any], white: float) -> list[View]:
    """The entry's band set: red, green and blue from 0 to 1 at reflectance `white`, the others at 8,160."""
    (sees,) = entry["bands"]
    bands = BAND_SETS[sees]
    brightest = [white * 1e4 if band in BAND_SETS["rgb"] else BRIGHTEST for band in bands]
    return [(sees, bands, stretched("dn", [0.0] * len(bands), brightest, white=white))]
