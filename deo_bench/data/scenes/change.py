"""The task `scenes-change`: pairs of dates, packed directly, for no data set of GEO-Bench v1 has pairs.

Its format describes one label type for one image, and its reader has no place for a second date.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import numpy as np

from deo_bench.data import Pack, Places
from deo_bench.data.pack import pack_once, write_pack
from deo_bench.data.pack_images import Dated
from deo_bench.data.scenes.land import IGNORED
from deo_bench.data.scenes.pairs import PAIRS, PairOfDates, render_pair
from deo_bench.data.scenes.spectra import BANDS
from deo_bench.data.scenes.uses import SIZE
from deo_bench.data.scenes.write import GENERATOR, Sizes

NAME = "scenes-change"
"""What the task is called."""

CLASSES = ("unchanged", "changed")
"""What its labels mean."""


def change_pair(index: int) -> PairOfDates:
    """A pair of the task, of a stream of its own; the same whatever number of pairs is made."""
    return render_pair("scenes", "change", index)


def change_fingerprint(sizes: Sizes) -> str:
    """What the task is, without generating anything."""
    return f"{NAME} generator {GENERATOR}, pairs {PAIRS}, {sizes.fit}+{sizes.select}+{sizes.report} pairs"


def pack_change(places: Places, sizes: Sizes) -> Pack:
    """The pairs as a pack, generated at the first call."""
    key = "-".join(str(part) for part in (NAME, f"v{GENERATOR}.{PAIRS}", *astuple(sizes)))
    return pack_once(places, key, lambda folder: _build(folder, sizes))


def _build(folder: Path, sizes: Sizes) -> Pack:
    labels = np.empty((sizes.total, SIZE, SIZE), dtype=np.uint8)

    def samples() -> Iterator[Dated]:
        for index in range(sizes.total):
            pair = change_pair(index)
            labels[index] = pair.changed
            yield Dated(pair.image, pair.later)

    rows = np.split(np.arange(sizes.total), np.cumsum([sizes.fit, sizes.select]))
    return write_pack(
        folder,
        name=NAME,
        images=samples(),
        count=sizes.total,
        bands=BANDS,
        unit="dn",
        labels=labels,
        classes=CLASSES,
        splits=dict(zip(("fit", "select", "report"), rows, strict=True)),
        ignore=IGNORED,
    )
