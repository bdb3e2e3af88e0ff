"""Tasks of GEO-Bench v1: its six classification sets by name, and any folder in its format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from deo_bench.data import Pack, Places
from deo_bench.data.geobench import find_data_set, pack_data_set
from deo_bench.tasks import Task, task

CLASSIFICATION = {
    "m-eurosat": {
        "summary": "Land cover, 10 classes, Sentinel-2 (13 bands), 64 px; published band names are wrong from B8A on.",
        "data_sets": ["eurosat"],
        "splits": [2000, 1000, 1000],
    },
    "m-forestnet": {
        "summary": "Drivers of deforestation, 12 classes, Landsat-8 (6 bands, 8-bit), 332 px.",
        "data_sets": ["forestnet"],
        "splits": [6464, 989, 993],
    },
    "m-so2sat": {
        "summary": "Local climate zones, 17 classes, Sentinel-1 and -2 (18 bands, reflectance), 32 px.",
        "data_sets": ["so2sat"],
        "splits": [19992, 986, 986],
    },
    "m-pv4ger": {
        "summary": "Solar panels or none, RGB (8-bit), 320 px.",
        "data_sets": ["pv4ger"],
        "splits": [11814, 999, 999],
    },
    "m-brick-kiln": {
        "summary": "Brick kilns or none, Sentinel-2, 64 px; published band names are wrong and three are 8-bit.",
        "data_sets": ["brick-kiln"],
        "splits": [15063, 999, 999],
    },
    "m-bigearthnet": {
        "summary": "Land cover, 43 labels at once, Sentinel-2 (12 bands), 120 px.",
        "data_sets": ["bigearthnet"],
        "splits": [20000, 1000, 1000],
    },
}


class _Folder(Task):
    """A data set folder in GEO-Bench's format."""

    band_labels: Literal["published", "corrected"]
    unreadable: Literal["refuse", "skip"]
    unit: str | None
    folder: str

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The data set's folder."""
        return (find_data_set(places, self.folder),)

    def pack(self, places: Places) -> Pack:
        """The data set, its default partition in the roles, the others as smaller fits."""
        return pack_data_set(
            places, self.folder, band_labels=self.band_labels, unit=self.unit, unreadable=self.unreadable
        )


@task(CLASSIFICATION, paper="2306.03831", licence="of each data set")
class GeoBenchTask(_Folder):
    """A classification task of GEO-Bench v1 (Lacoste et al. 2023), its default partition.

    band_labels: `published` names as everyone reports on, or `corrected` ones where they are known to be wrong.
    """

    version = 1

    def __init__(
        self,
        name: str,
        *,
        band_labels: Literal["published", "corrected"] = "published",
        unreadable: Literal["refuse", "skip"] = "refuse",
    ) -> None:
        self.name = self.folder = name
        self.data_sets = tuple(str(of) for of in CLASSIFICATION[name]["data_sets"])
        self.band_labels, self.unreadable, self.unit = band_labels, unreadable, None


@task("geobench")
class GeoBenchFolder(_Folder):
    """Any data set folder in GEO-Bench v1's format, named by its folder (`name`, or `benchmark/name`).

    unit: what the pixels are in, which the format does not say: needed unless the data set is known, or its bands and
    type leave no doubt.
    """

    version = 1

    def __init__(
        self,
        *,
        name: str,
        unit: str | None = None,
        band_labels: Literal["published", "corrected"] = "published",
        unreadable: Literal["refuse", "skip"] = "refuse",
    ) -> None:
        self.folder, self.name = name, name.rstrip("/").split("/")[-1]
        self.data_sets = (self.name.removeprefix("m-"),)
        self.band_labels, self.unreadable, self.unit = band_labels, unreadable, unit
