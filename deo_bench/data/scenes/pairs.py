"""Two dates of one ground: what the weather does is everywhere and means nothing, what people do is in some places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deo_bench.data.scenes.ground import Land, draw_land
from deo_bench.data.scenes.land import IGNORED
from deo_bench.data.scenes.layout import smooth
from deo_bench.data.scenes.render import CLASSES, LIGHT, MOISTURE, PARCELS, PRESENT, SUN, draw_factors
from deo_bench.data.scenes.sensor import sense
from deo_bench.data.scenes.spectra import MATERIALS
from deo_bench.data.scenes.uses import PAINTERS, SIZE, Layer, cloud
from deo_bench.draws import numpy_generator

PAIRS = 1
"""Bumped when the same numbers would give another pair, beside the generator's own version."""

CHANGES = ("cover", "burnt", "built", "drained", "felled")
"""What may have happened: parcels with another cover, parcels burnt, a new village, water gone, a wood gone."""

UNCHANGED = 0.25
"""The share of pairs in which nothing happened."""

SWING = 0.8
"""How far the sun's bearing is from the first date's at the second, at most, in radians."""

DRIFT = 0.05
"""Spread of the logarithm by which a parcel's brightness differs from date to date, with nothing done to it."""

SHARE = (0.03, 0.1)
"""The share of the scene from which on no more parcels burn or change their cover."""

LARGEST = 0.12
"""A parcel of a larger share of the scene is left as it is."""

_BURNT, _CLOUD = MATERIALS.index("burnt ground"), CLASSES.index("cloud")
_OVER = {"built": "buildings", "drained": "water", "felled": "forest"}


@dataclass(frozen=True)
class PairOfDates:
    """The images [C, H, W] of two dates in digital numbers, where the ground is another [H, W], and why.

    changed is 0 or 1, and 255 under a cloud of either date.
    """

    image: np.ndarray
    later: np.ndarray
    changed: np.ndarray
    happened: tuple[str, ...]


@dataclass(frozen=True)
class _Ground:
    """What both dates have: parcels, what lies over them by its class, and two slopes of the relief [2, H, W]."""

    land: Land
    layers: tuple[tuple[int, Layer], ...]
    relief: np.ndarray


def render_pair(*stream: int | str, happened: Sequence[str] | None = None) -> PairOfDates:
    """The pair of a stream; with `happened`, these of `CHANGES` whatever the stream would draw.

    Ground, changes and each date's weather have streams of their own, so a pair in which nothing happened shows the
    same ground under the same two skies.
    """
    ground = _draw_ground(numpy_generator(*stream, "ground"))
    draw = numpy_generator(*stream, "changes")
    drawn = _draw_changes(draw)
    happened = drawn if happened is None else tuple(happened)
    cover, over = ground.land.cover, {}
    for change in CHANGES:
        # Drawn whether wanted or not: one change does not depend on the others.
        one = numpy_generator(*stream, change)
        if change not in happened:
            continue
        if change in _OVER:
            over[change] = (CLASSES.index(_OVER[change]), PAINTERS[_OVER[change]](one, SIZE))
        else:
            cover = _other_cover(one, ground.land, cover, change)
    gone = [over[change] for change in ("drained", "felled") if change in over]
    new = [over["built"]] if "built" in over else []
    bearing = draw.uniform(0, 2 * np.pi)
    swing = draw.uniform(-SWING, SWING)
    before = _seen(numpy_generator(*stream, "before"), ground, ground.land.cover, gone, bearing)
    after = _seen(numpy_generator(*stream, "after"), ground, cover, new, bearing + swing)
    changed = (before.classes != after.classes).astype(np.uint8)
    changed[before.hidden | after.hidden] = IGNORED
    return PairOfDates(before.image, after.image, changed, tuple(happened))


def _draw_ground(draw: np.random.Generator) -> _Ground:
    factors = draw_factors(draw)
    land = draw_land(draw, PARCELS[factors.layout], factors.material)
    layers = tuple(
        (len(MATERIALS) + number, paint(draw, SIZE))
        for number, (wanted, paint) in enumerate(zip(factors.uses[:-1], PAINTERS.values(), strict=True))
        if wanted
    )
    return _Ground(land, layers, np.stack([smooth(draw, 3, SIZE) for _ in range(2)]))


def _draw_changes(draw: np.random.Generator) -> tuple[str, ...]:
    count = int(draw.integers(1, 4)) if draw.random() >= UNCHANGED else 0
    chosen = draw.permutation(len(CHANGES))[:count]
    return tuple(CHANGES[number] for number in sorted(chosen))


def _other_cover(draw: np.random.Generator, land: Land, cover: np.ndarray, change: str) -> np.ndarray:
    """Covers [P] after some parcels burnt, or got another one: half of these the partner, which RGB cannot tell."""
    shares = np.bincount(land.numbers.ravel(), minlength=len(cover)) / land.numbers.size
    enough, done, found = draw.uniform(*SHARE), 0.0, cover.copy()
    for parcel in draw.permutation(len(cover)):
        partner, other = cover[parcel] ^ 1, (cover[parcel] + draw.integers(1, len(MATERIALS))) % len(MATERIALS)
        if shares[parcel] > LARGEST or done >= enough:
            continue
        found[parcel] = _BURNT if change == "burnt" else partner if draw.random() < 0.5 else other
        done += shares[parcel]
    return found


@dataclass(frozen=True)
class _Seen:
    """A date: the image [C, H, W], the class map [H, W] of the ground without clouds, and what a cloud hides [H, W]."""

    image: np.ndarray
    classes: np.ndarray
    hidden: np.ndarray


def _seen(
    draw: np.random.Generator,
    ground: _Ground,
    cover: np.ndarray,
    more: Sequence[tuple[int, Layer]],
    bearing: float,
) -> _Seen:
    """The ground with these covers and layers, under a day's own moisture, sun, cloud and haze."""
    depth = MOISTURE[int(draw.integers(len(MOISTURE)))]
    gain = ground.land.gain * np.exp(DRIFT * draw.standard_normal((len(cover), 1)))
    canvas = ground.land.painted(depth, cover=cover, gain=gain)
    # In the order of their classes, as in every scene: water lies under a wood, a road over houses.
    for number, layer in sorted((*ground.layers, *more), key=lambda pair: pair[0]):
        canvas.paint(number, layer)
    slope = np.cos(bearing) * ground.relief[0] + np.sin(bearing) * ground.relief[1]
    canvas.ground[...] *= np.exp(LIGHT * slope + SUN * draw.standard_normal())
    classes = canvas.classes.copy()
    if draw.random() < PRESENT:
        layer, shadow = cloud(draw, SIZE)
        canvas.ground[...] *= shadow
        canvas.paint(_CLOUD, layer)
    return _Seen(sense(draw, canvas.ground, 1), classes, canvas.classes == _CLOUD)
