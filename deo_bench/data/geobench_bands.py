"""How GEO-Bench spells bands, what it is known to spell wrongly, and the unit of each of its data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deo_bench.bands import BANDS, Unit, canonical
from deo_bench.errors import UserError


@dataclass(frozen=True)
class Spelling:
    """One band as the format describes it: class in `geobench.dataset`, name, other names, metres, micrometres."""

    kind: str
    label: str
    others: tuple[str, ...] = ()
    resolution: float = 10
    wavelength: float | None = None


def _sentinel2(name: str) -> Spelling:
    """`B08` is `08 - NIR`, also called `8`, `08` and `nir`: the numbers, and the colours that have one name."""
    band, number = BANDS[name], name[1:].lstrip("0")
    padded = name[1:] if name != "B8A" else "08A"
    colour = {"B02": ("blue",), "B03": ("green",), "B04": ("red",), "B08": ("NIR",)}.get(name, ())
    others = dict.fromkeys((number, padded, *colour))
    return Spelling(
        "Sentinel2", band.spellings[0], tuple(others), int(band.resolution), round(band.wavelength / 1e3, 3)
    )


_LANDSAT8 = {
    "L1": Spelling("Landsat8", "01 - Coastal aerosol", ("1", "01", "B1"), 30, 0.443),
    "L2": Spelling("Landsat8", "02 - Blue", ("2", "02", "B2", "blue"), 15, 0.482),
    "L3": Spelling("Landsat8", "03 - Green", ("3", "03", "B3", "green"), 15, 0.5614),
    "L4": Spelling("Landsat8", "04 - Red", ("4", "04", "B4", "red"), 15, 0.6546),
    "L5": Spelling("Landsat8", "05 - NIR", ("5", "05", "B5", "nir"), 30, 0.8647),
    "L6": Spelling("Landsat8", "06 - SWIR1", ("6", "06", "B6", "swir1"), 30, 1.6089),
    "L7": Spelling("Landsat8", "07 - SWIR2", ("7", "07", "B7", "swir2"), 30, 2.2007),
}
_SENTINEL1 = {
    "VH": Spelling("Sentinel1", "05 - VH.LEE Filtered"),
    "VV": Spelling("Sentinel1", "06 - VV.LEE Filtered"),
}
_PHOTO = {
    "R": Spelling("SpectralBand", "Red", ("red",), 1, 0.665),
    "G": Spelling("SpectralBand", "Green", ("green",), 1, 0.56),
    "B": Spelling("SpectralBand", "Blue", ("blue",), 1, 0.49),
}
SPELLINGS: dict[str, Spelling] = {
    **{name: _sentinel2(name) for name in BANDS if name.startswith("B") and name != "B"},
    **_LANDSAT8,
    **_SENTINEL1,
    **_PHOTO,
}
"""Canonical name -> how the format spells it."""

_NAMES = {(spelling.kind, spelling.label.lower()): name for name, spelling in SPELLINGS.items()}

UNITS: dict[str, Unit] = {
    **dict.fromkeys(("m-eurosat", "m-bigearthnet", "m-brick-kiln", "m-cashew-plant"), "dn"),
    "m-so2sat": "reflectance",
    **dict.fromkeys(("m-forestnet", "m-pv4ger", "m-pv4ger-seg", "m-chesapeake"), "uint8"),
    **dict.fromkeys(("m-SA-crop-type", "m-nz-cattle", "m-NeonTree"), "uint8"),
}
"""The unit of each data set of GEO-Bench v1, which its files do not say.

m-SA-crop-type has Sentinel-2 on an 8-bit-like scale. m-brick-kiln has digital numbers in ten bands; the three it calls
cirrus and SWIR are an 8-bit rendering.
"""

NO_PICTURE = ("Mask", "CloudProbability", "ElevationBand", "Height", "MultiBand", "HyperSpectralBands")
"""Classes of bands that are beside a data set's picture, on a scale of their own.

m-NeonTree has canopy height and hundreds of hyperspectral planes, ten times coarser than its RGB, which is what the
field reports on; m-cashew-plant and m-SA-crop-type have the probability of cloud.
"""

_S2_13 = tuple(name for name in SPELLINGS if SPELLINGS[name].kind == "Sentinel2")
CORRECTED: dict[str, dict[str, str | None]] = {
    "m-eurosat": dict(zip(_S2_13, (*_S2_13[:8], "B09", "B10", "B11", "B12", "B8A"), strict=True)),
    "m-brick-kiln": dict(
        zip(
            _S2_13,
            ("B01", "B02", "B03", "B04", "B05", "B07", "B8A", "B08", "B11", "B12", None, None, None),
            strict=True,
        )
    ),
}
"""Data set -> published name -> what the array really is; none for the 8-bit rendering, which is left out."""


def published_name(kind: str, label: str) -> str:
    """The canonical name of a band from its class and label; what the catalogue lacks keeps its label.

    The class decides: `02 - Blue` is Sentinel-2's B02 or Landsat-8's L2, and `Red` of a photograph is R.
    """
    name = _NAMES.get((kind, label.lower()))
    if name is not None:
        return name
    if kind in ("Landsat8", "Sentinel1"):
        return label
    try:
        return canonical(label)
    except UserError:
        return label


def corrected_names(data_set: str, published: Sequence[str]) -> list[str | None]:
    """What the bands really are, by position; a data set without known mistakes keeps its names."""
    table = CORRECTED.get(data_set, {})
    return [table.get(name, name) for name in published]


def unit_of(data_set: str, bands: Sequence[str], dtype: str, given: str | None) -> str | None:
    """The unit of a data set: as given, as known, or what its bands and type leave no doubt about; else none.

    Whole numbers of Sentinel-2 and Landsat-8 are digital numbers, bytes are 8-bit.
    """
    if given is not None or data_set in UNITS:
        return given or UNITS[data_set]
    if dtype == "uint8":
        return "uint8"
    optical = all(SPELLINGS[name].kind in ("Sentinel2", "Landsat8") for name in bands if name in SPELLINGS)
    return "dn" if optical and dtype in ("int16", "uint16") and set(bands) <= set(SPELLINGS) else None
