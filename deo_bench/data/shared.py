"""Images that two sets have in common: what was trained on must not be what is reported on."""

from __future__ import annotations

import hashlib

import numpy as np

from deo_bench.bands import convert
from deo_bench.data import Pack


def shared_images(one: Pack, rows: np.ndarray, other: Pack, other_rows: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows whose images are equal in every band that both packs have, whatever the unit they are kept in.

    Equal means equal after rounding to a digital number: copies are found, near copies and other cuts of a scene not.
    """
    bands = [band for band in one.bands if band in other.bands]
    if not bands or one.images.shape[2:] != other.images.shape[2:]:
        return []
    known: dict[bytes, int] = {}
    for row in rows:
        known.setdefault(_digest(one, int(row), bands), int(row))
    found = ((known.get(_digest(other, int(row), bands)), int(row)) for row in other_rows)
    return [(first, second) for first, second in found if first is not None]


def _digest(pack: Pack, row: int, bands: list[str]) -> bytes:
    places = [pack.bands.index(band) for band in bands]
    numbers = convert(np.asarray(pack.images[row][places], dtype=np.float64), pack.unit, "dn")
    return hashlib.sha256(np.rint(numbers).astype(np.int32).tobytes()).digest()
