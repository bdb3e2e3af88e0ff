"""torchgeo's SSL4EO-S12 as images to pre-train on: Sentinel-2 at a quarter of a million places in four seasons."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from deo_bench.bands import band_set
from deo_bench.data import Data, Pack, Places, data
from deo_bench.data.join import count_squares, squares
from deo_bench.data.pack import input_key, pack_once, write_pack
from deo_bench.data.tiff import read_layers
from deo_bench.data.torchgeo_files import by_torchgeo
from deo_bench.data.torchgeo_sets import open_set
from deo_bench.declarations import Count
from deo_bench.errors import MissingInput, UserError

READER = 1
"""Bumped when the same files would be packed to other content."""

SEASONS = 4
"""Dates that every location has."""

_LOCATION = re.compile(r"\d{7}")
_BANDS = {"s2c": band_set("s2_13"), "s2a": band_set("s2_12")}


@data("ssl4eo_s12", paper="https://arxiv.org/abs/2211.07044", licence="CC-BY-4.0")
class Ssl4EoS12(Data):
    """SSL4EO-S12 (Wang et al. 2023): Sentinel-2 images of 264 px (digital numbers), as torchgeo's `SSL4EOS12` has them.

    path: the folder that holds `s2c` or `s2a`, under the root of data or absolute. level: `s2c` (L1C, 13 bands) or
    `s2a` (L2A, 12 bands). season: `all` four dates of a location, or the first, second, third or fourth in time. count:
    the first so many locations that are there, in the order of their numbers; all without. patch: cut images into whole
    squares of so many pixels. Images of one location are a group. Bands of 20 and 60 m are brought to 10 m by the
    nearest pixel, as torchgeo does.
    """

    version = 1
    data_sets = ("ssl4eo-s12",)

    def __init__(
        self,
        *,
        path: str = "ssl4eo_s12",
        level: Literal["s2c", "s2a"] = "s2c",
        season: Literal["all", 1, 2, 3, 4] = "all",
        count: Count | None = None,
        patch: Count | None = None,
    ) -> None:
        self.path, self.level, self.season, self.count, self.patch = path, level, season, count, patch

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The folder of the level."""
        try:
            root = places.find(self.path, "its folder")
            if any(root.glob(f"{self.level}/*")) or any(root.glob("*.tar.gz.part*")):
                return (root / self.level,)
            told = f"{root} has no {self.level}"
        except MissingInput as error:
            told = str(error)
        # Its archive comes in parts, of about 500 GB together, which torchgeo puts together.
        command = by_torchgeo("SSL4EOS12", (places.root or Path()) / self.path, f"split={self.level!r}, ")
        raise MissingInput(f"ssl4eo_s12 (torchgeo's SSL4EOS12): {told}", f"or get it: {command}")

    def pack(self, places: Places) -> Pack:
        """The images, location by location and date by date."""
        (folder,) = self.inputs(places)
        if not folder.exists():
            open_set("SSL4EOS12", folder.parent, split=self.level)  # torchgeo unpacks the archives that lie there
        key = input_key(f"ssl4eo_s12-{self.level}", [folder], {**vars(self), "path": ""}, READER)
        return pack_once(places, key, lambda target: self._build(target, folder))

    def _build(self, target: Path, folder: Path) -> Pack:
        size, bands = self._of_torchgeo(folder)
        there = sorted(entry for entry in folder.iterdir() if _LOCATION.fullmatch(entry.name))
        locations = there[: self.count]
        if not locations:
            raise UserError(f"{folder}: has no locations; expected folders of seven digits (0000000)")
        notes = []
        if self.count is not None and len(locations) < self.count:
            notes = [f"{folder}: has {len(locations)} locations, {self.count} were asked for"]
        dates = SEASONS if self.season == "all" else 1
        each = dates * count_squares((size, size), self.patch, str(folder))
        return write_pack(
            target,
            name=f"ssl4eo_s12-{self.level}",
            images=self._images(locations, size, bands),
            count=each * len(locations),
            bands=_BANDS[self.level],
            unit="dn",
            splits={"fit": np.arange(each * len(locations))},
            groups=np.repeat(np.arange(len(locations)), each),
            notes=notes,
        )

    def _of_torchgeo(self, folder: Path) -> tuple[int, Sequence[str]]:
        """The size of the images and the names of the files of their bands, which are held against ours."""
        found = open_set("SSL4EOS12", folder.parent, split=self.level)
        names = [f"B{int(name[1:]):02d}" if name[1:].isdigit() else name for name in found.bands]
        if tuple(names) != _BANDS[self.level]:
            raise UserError(f"torchgeo's SSL4EOS12 has the bands {', '.join(names)}; version 0.8.1 is read here")
        return int(found.size), found.bands

    def _images(self, locations: Sequence[Path], size: int, bands: Sequence[str]) -> Iterator[np.ndarray]:
        for location in locations:
            dates = sorted(entry for entry in location.iterdir() if entry.is_dir())  # a name begins with its date
            if len(dates) != SEASONS:
                raise UserError(f"{location}: has {len(dates)} dates, expected {SEASONS}")
            for date in dates if self.season == "all" else [dates[self.season - 1]]:
                layers = [read_layers(date / f"{band}.tif", (size, size)) for band in bands]
                yield from squares(np.concatenate(layers), self.patch)
