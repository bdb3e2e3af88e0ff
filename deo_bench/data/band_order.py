"""Whether images look as if their bands were named in another order than they are in: from their statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deo_bench.bands import SENSORS

IMAGES = 128
"""Images that are looked at, evenly over the data set."""

_SIDE = 32
_JUDGED = {band.name for sensor in ("sentinel2", "rgb") for band in SENSORS[sensor]}
_TOO_HIGH = (
    ("B10", "B11", 0.3, "cirrus is nearly 0 in Sentinel-2, unless its offset of 1,000 was left in"),
    ("B09", "B8A", 1.3, "water vapour is never brighter than the infrared beside it"),
    ("B12", "B11", 1.2, "it is darker nearly everywhere"),
    ("B05", "B06", 1.4, "the red edge rises"),
    ("B8A", "B08", 1.7, "they see nearly the same light"),
    ("B08", "B8A", 1.7, "they see nearly the same light"),
    ("B8A", "B11", 6.0, "short-wave infrared is not that dark over land"),
)
"""Of means: the first band is at most so many times the second."""

_RED, _BLUE = ("B04", "R"), ("B02", "B")
_BEYOND_RED = ("B05", "B11", "B12")
_MARGIN = 0.05
_FEWEST = 64
"""Images that colours are judged by; fewer may all show one thing, such as red soil."""
_CLOSEST = 0.999
_NEIGHBOURS = (("B07", "B8A"), ("B08", "B8A"), ("B06", "B07"))
_ALIKE = 0.8
_OF_A_SCENE = 0.2
"""How much the bands of any scene have in common; noise is not judged."""


def doubts_about_order(name: str, bands: Sequence[str], images: np.ndarray, rows: np.ndarray) -> tuple[str, ...]:
    """What speaks against the names of the bands of images [N, C, H, W], one sentence in all; empty where nothing does.

    Ratios of means show a band that is in another's place. Blue and red have means alike, but red goes with the longer
    waves and blue does not, so their correlations tell a file in blue, green, red from one in red, green, blue.
    """
    chosen = rows[np.linspace(0, len(rows) - 1, min(IMAGES, len(rows))).astype(np.int64)]
    step = max(1, images.shape[2] // _SIDE), max(1, images.shape[3] // _SIDE)
    pixels = {
        band: np.stack([images[row, place, :: step[0], :: step[1]] for row in chosen]).astype(np.float64).ravel()
        for place, band in enumerate(bands)
        if band in _JUDGED
    }
    if not pixels:
        return ()
    varied = {band: values for band, values in pixels.items() if values.std() > 0}
    shared = np.asarray(np.corrcoef(np.stack([*varied.values()]))) if len(varied) > 2 else np.eye(2)
    by_chance = 3 / np.sqrt(next(iter(pixels.values())).size)
    if np.abs(shared[np.triu_indices(len(shared), 1)]).mean() < _OF_A_SCENE + by_chance:
        return ()
    doubts = _ratios({band: float(values.mean()) for band, values in pixels.items()})
    doubts += _apart(shared, [*varied]) + (_swapped(shared, [*varied]) if len(rows) >= _FEWEST else [])
    if not doubts:
        return ()
    more = f" ({len(doubts)} signs in all)" if len(doubts) > 1 else ""
    return (f"{name}: the bands {', '.join(bands)} look as if they were in another order: {doubts[0]}{more}",)


def _ratios(means: Mapping[str, float]) -> list[str]:
    return [
        f"{first} is {means[first]:.4g} on average and {second} {means[second]:.4g}; {why}"
        for first, second, most, why in _TOO_HIGH
        if first in means and second in means and means[second] > 0 and means[first] > most * means[second]
    ]


def _apart(shared: np.ndarray, names: Sequence[str]) -> list[str]:
    """Whether bands right beside each other differ; shared: [C, C] correlations."""
    pairs = [(one, other) for one, other in _NEIGHBOURS if one in names and other in names]
    found = {pair: float(shared[names.index(pair[0]), names.index(pair[1])]) for pair in pairs}
    return [
        f"{one} and {other} are neighbours and have {alike:.2f} in common, not nearly 1"
        for (one, other), alike in found.items()
        if alike < _ALIKE
    ]


def _swapped(shared: np.ndarray, names: Sequence[str]) -> list[str]:
    """Whether blue goes with the waves beyond red more closely than red does.

    Closeness is Fisher's z of the correlation, so that 0.98 against 0.95 says as much as 0.6 against 0.3; on real
    scenes red leads, by 0.05 or more, be there 64 images of one place or thousands.
    """
    red, blue = (next((name for name in of if name in names), None) for of in (_RED, _BLUE))
    beyond = [names.index(name) for name in _BEYOND_RED if name in names]
    if red is None or blue is None or not beyond:
        return []
    rows = shared[[names.index(red), names.index(blue)]][:, beyond]
    closeness = np.arctanh(rows.clip(-_CLOSEST, _CLOSEST)).mean(axis=1)
    if closeness[1] <= closeness[0] + _MARGIN:
        return []
    with_what = ", ".join(names[at] for at in beyond)
    return [
        f"{blue} (blue) goes with {with_what} more closely than {red} (red) does, {rows[1].mean():.2f} against "
        f"{rows[0].mean():.2f}; are they blue, green, red rather than red, green, blue, or the reverse?"
    ]
