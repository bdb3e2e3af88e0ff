"""Images that two sets have in common: what was trained on must not be what is reported on."""

from __future__ import annotations

import hashlib

import numpy as np

from deo_bench.bands import convert
from deo_bench.data import Pack


def shared_images(one: Pack, rows: np.ndarray, other: Pack, other_rows: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows whose images are equal in every band that both packs have, whatever the unit they are kept in.

    Equal means equal after rounding to a digital number: copies are found, near copies and other cuts of a scene not.
    Where a pack has two dates, one of either is enough; labels of any kind are not looked at.
    """
    bands = [band for band in one.bands if band in other.bands]
    if not bands or one.images.shape[2:] != other.images.shape[2:]:
        return []
    known: dict[bytes, int] = {}
    for row in rows:
        for images in _dates(one):
            known.setdefault(_digest(one, images[row], bands), int(row))
    found = []
    for row in other_rows:
        first = (known.get(_digest(other, images[row], bands)) for images in _dates(other))
        found += [(match, int(row)) for match in first if match is not None][:1]
    return found


def _dates(pack: Pack) -> list[np.ndarray]:
    return [pack.images] if pack.later is None else [pack.images, pack.later]


def _digest(pack: Pack, image: np.ndarray, bands: list[str]) -> bytes:
    places = [pack.bands.index(band) for band in bands]
    numbers = convert(np.asarray(image[places], dtype=np.float64), pack.unit, "dn")
    return hashlib.sha256(np.rint(numbers).astype(np.int32).tobytes()).digest()
