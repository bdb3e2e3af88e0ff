"""Sensors, their bands, and the units that pixels are in; selection is by name, and only here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from deo_bench.errors import UserError, nearest

Unit = Literal["dn", "reflectance", "uint8", "display"]
"""`dn`: reflectance times 10,000; `reflectance`; `uint8`: 0 to 255; `display`: 0 to 1, as shown on a screen."""

WHITE = 0.3
"""The reflectance shown as white: the usual stretch of Sentinel-2 true-colour images (0 to 3,000 DN)."""


@dataclass(frozen=True)
class Band:
    """One band: canonical name, centre wavelength in nm (0 for radar), resolution in m, other spellings."""

    name: str
    wavelength: float
    resolution: float
    spellings: tuple[str, ...] = ()


_SENTINEL2 = (
    ("B01", 442.7, 60, "01 - Coastal aerosol", "coastal aerosol", "coastal"),
    ("B02", 492.4, 10, "02 - Blue", "blue", "b"),
    ("B03", 559.8, 10, "03 - Green", "green", "g"),
    ("B04", 664.6, 10, "04 - Red", "red", "r"),
    ("B05", 704.1, 20, "05 - Vegetation Red Edge", "red edge 1", "rededge1"),
    ("B06", 740.5, 20, "06 - Vegetation Red Edge", "red edge 2", "rededge2"),
    ("B07", 782.8, 20, "07 - Vegetation Red Edge", "red edge 3", "rededge3"),
    ("B08", 832.8, 10, "08 - NIR", "nir"),
    ("B8A", 864.7, 20, "08A - Vegetation Red Edge", "narrow nir", "red edge 4", "08A"),
    ("B09", 945.1, 60, "09 - Water vapour", "water vapour", "water vapor"),
    ("B10", 1373.5, 60, "10 - SWIR - Cirrus", "cirrus"),
    ("B11", 1613.7, 20, "11 - SWIR", "swir 1", "swir1"),
    ("B12", 2202.4, 20, "12 - SWIR", "swir 2", "swir2"),
)
_LANDSAT8 = (
    ("L1", 443.0, 30, "01 - Coastal"),
    ("L2", 482.0, 30, "Landsat8 blue"),
    ("L3", 561.4, 30, "Landsat8 green"),
    ("L4", 654.6, 30, "Landsat8 red"),
    ("L5", 864.7, 30, "Landsat8 nir"),
    ("L6", 1608.9, 30, "Landsat8 swir 1"),
    ("L7", 2200.7, 30, "Landsat8 swir 2"),
)
_SENTINEL1 = (
    ("VV", 0.0, 10, "01 - VV", "01 - VH.Real"),
    ("VH", 0.0, 10, "02 - VH", "02 - VH.Imaginary"),
)
_WORLDVIEW2 = (
    ("WV1", 427.0, 2, "WorldView coastal"),
    ("WV2", 478.0, 2, "WorldView blue"),
    ("WV3", 546.0, 2, "WorldView green"),
    ("WV4", 608.0, 2, "WorldView yellow"),
    ("WV5", 659.0, 2, "WorldView red"),
    ("WV6", 724.0, 2, "WorldView red edge"),
    ("WV7", 833.0, 2, "WorldView nir 1"),
    ("WV8", 949.0, 2, "WorldView nir 2"),
)
_OPTICAL = (("R", 650.0, 1, "Red"), ("G", 560.0, 1, "Green"), ("B", 470.0, 1, "Blue"))


def _sensor(rows: Iterable[tuple[Any, ...]]) -> tuple[Band, ...]:
    return tuple(Band(name, wave, metres, tuple(other)) for name, wave, metres, *other in rows)


SENSORS: dict[str, tuple[Band, ...]] = {
    "sentinel2": _sensor(_SENTINEL2),
    "landsat8": _sensor(_LANDSAT8),
    "sentinel1": _sensor(_SENTINEL1),
    "worldview2": _sensor(_WORLDVIEW2),
    "rgb": _sensor(_OPTICAL),
}
BANDS: dict[str, Band] = {band.name: band for bands in SENSORS.values() for band in bands}

BAND_SETS: dict[str, tuple[str, ...]] = {
    "s2_13": tuple(band.name for band in SENSORS["sentinel2"]),
    "s2_12": tuple(band.name for band in SENSORS["sentinel2"] if band.name != "B10"),
    "s2_9": ("B04", "B03", "B02", "B05", "B06", "B07", "B08", "B11", "B12"),
    "s2_10": ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
    "hls_6": ("B02", "B03", "B04", "B8A", "B11", "B12"),
    "wv_8": tuple(band.name for band in SENSORS["worldview2"]),
    "rgb": ("B04", "B03", "B02"),
}
"""Band sets by name. `rgb` is red, green, blue: a photograph's R, G, B and Landsat 8's L4, L3, L2 answer to it too.
`hls_6` is the six bands that Sentinel-2 and Landsat 8 share, so Landsat's L2 to L7 are one. `s2_9` is SatlasPretrain's.
"""

_COLOURS = (("B04", "R", "L4"), ("B03", "G", "L3"), ("B02", "B", "L2"))
_INFRARED = (("B8A", "L5"), ("B11", "L6"), ("B12", "L7"))
_SAME = {name: tuple(other for other in alike if other != name) for alike in (*_COLOURS, *_INFRARED) for name in alike}
"""Bands that stand in for one another, nearest first; the infrared is paired as in NASA's Harmonized Landsat Sentinel-2
(Claverie et al. 2018, 10.1016/j.rse.2018.09.002), from narrow near infrared on.
"""
_VISIBLE = frozenset(name for alike in _COLOURS for name in alike)
_SPELLINGS = {
    spelling.lower(): band.name
    for bands in reversed(SENSORS.values())
    for band in bands
    for spelling in (band.name, *band.spellings)
}


def canonical(label: str) -> str:
    """The canonical name of a band from any known spelling (`"02 - Blue"`, `"blue"`, `"b02"` -> `"B02"`)."""
    name = _SPELLINGS.get(label.strip().lower())
    if name is None:
        raise UserError(f"unknown band {label!r}{nearest(label, BANDS)}")
    return name


def band_set(name: str) -> tuple[str, ...]:
    """The bands of a named set, in order."""
    if name not in BAND_SETS:
        raise UserError(f"unknown band set {name!r}{nearest(name, BAND_SETS)}")
    return BAND_SETS[name]


OWN = "own"
"""What a list of bands is called that is none of the named band sets."""


def named_bands(bands: str | Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Name and bands of a set that an option gives by its name or band by band, in any known spelling."""
    if isinstance(bands, str):
        return bands, band_set(bands)
    found = tuple(canonical(label) for label in bands)
    if len(set(found)) != len(found) or not found:
        raise UserError(f"bands: expected each band once, got {', '.join(found) or 'none'}")
    return next((name for name, known in BAND_SETS.items() if known == found), OWN), found


def select(have: Sequence[str], want: Sequence[str], what: str = "the images") -> list[int]:
    """Positions of the wanted bands among those at hand; a missing band is an error that names it."""
    places = {name: index for index, name in enumerate(have)}
    found = [next((places[each] for each in _answers(name) if each in places), -1) for name in want]
    missing = [name for name, index in zip(want, found, strict=True) if index < 0]
    if missing:
        raise UserError(f"{what} lack band {', '.join(missing)}; they have {', '.join(have)}")
    return found


def is_visible(band: str) -> bool:
    """Whether a band is red, green or blue, of Sentinel-2, of Landsat 8 or of a photograph."""
    return band in _VISIBLE


def has_bands(have: Sequence[str], want: Sequence[str]) -> bool:
    """Whether every wanted band is at hand."""
    return all(any(each in have for each in _answers(name)) for name in want)


def _answers(name: str) -> tuple[str, ...]:
    """A band, then those that stand in for it."""
    return (name, *_SAME.get(name, ()))


def check_unit(unit: str | None, where: str) -> Unit:
    """A unit as given, or an error that says which there are."""
    if unit not in get_args(Unit):
        given = "no unit is given" if unit is None else f"unknown unit {unit!r}"
        raise UserError(f"{where}: {given}; say unit = one of {', '.join(get_args(Unit))}")
    return unit  # type: ignore[return-value]


def convert(pixels: Any, given: Unit, wanted: Unit, white: float = WHITE) -> Any:
    """Pixels (array or tensor of floats) from one unit to another.

    Going to `display` divides reflectance by `white` and clips to [0, 1]; coming from it multiplies, so brightness
    above `white` is lost.
    """
    if given == wanted:
        return pixels
    scale = {"dn": 1e-4, "reflectance": 1.0, "uint8": white / 255, "display": white}
    reflectance = pixels * scale[given]
    if wanted == "display":
        return (reflectance / white).clip(0, 1)
    return reflectance / scale[wanted]
