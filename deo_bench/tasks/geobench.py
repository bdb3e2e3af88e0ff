"""Tasks of GEO-Bench v1: its six classification and six segmentation sets by name, and any folder in its format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from deo_bench.data import Pack, Places
from deo_bench.data.download import Download
from deo_bench.data.geobench import find_data_set, pack_data_set
from deo_bench.data.geobench_hub import archives
from deo_bench.errors import UserError
from deo_bench.tasks import Task, task

DATA_SETS = {
    "m-eurosat": {
        "summary": "Land cover, 10 classes, Sentinel-2 (13 bands), 64 px; published band names are wrong from B8A on.",
        "labels": "single",
        "data_sets": ["eurosat"],
        "splits": [2000, 1000, 1000],
    },
    "m-forestnet": {
        "summary": "Drivers of deforestation, 12 classes, Landsat-8 (6 bands, 8-bit), 332 px.",
        "labels": "single",
        "data_sets": ["forestnet"],
        "splits": [6464, 989, 993],
    },
    "m-so2sat": {
        "summary": "Local climate zones, 17 classes, Sentinel-1 and -2 (18 bands, reflectance), 32 px.",
        "labels": "single",
        "data_sets": ["so2sat"],
        "splits": [19992, 986, 986],
    },
    "m-pv4ger": {
        "summary": "Solar panels or none, RGB (8-bit), 320 px.",
        "labels": "single",
        "data_sets": ["pv4ger"],
        "splits": [11814, 999, 999],
    },
    "m-brick-kiln": {
        "summary": "Brick kilns or none, Sentinel-2, 64 px; published band names are wrong and three are 8-bit.",
        "labels": "single",
        "data_sets": ["brick-kiln"],
        "splits": [15063, 999, 999],
    },
    "m-bigearthnet": {
        "summary": "Land cover, 43 labels at once, Sentinel-2 (12 bands), 120 px.",
        "labels": "multi",
        "data_sets": ["bigearthnet"],
        "splits": [20000, 1000, 1000],
    },
    "m-pv4ger-seg": {
        "summary": "Maps of solar panels, 2 classes, RGB (8-bit), 320 px.",
        "labels": "segmentation",
        "data_sets": ["pv4ger"],
        "splits": [3000, 403, 403],
    },
    "m-chesapeake": {
        "summary": "Land cover maps, 7 classes, RGB and near infrared (8-bit), 256 px.",
        "labels": "segmentation",
        "data_sets": ["chesapeake"],
        "splits": [3000, 1000, 1000],
    },
    "m-cashew-plant": {
        "summary": "Maps of cashew plantations, 7 classes of which 0 is no data, Sentinel-2, 256 px.",
        "labels": "segmentation",
        "data_sets": ["cashew-plant"],
        "splits": [1350, 400, 50],
    },
    "m-SA-crop-type": {
        "summary": "Crop maps of South Africa, 10 classes, Sentinel-2 on a scale like 8-bit, 256 px.",
        "labels": "segmentation",
        "data_sets": ["SA-crop-type"],
        "splits": [3000, 1000, 1000],
    },
    "m-nz-cattle": {
        "summary": "Maps of cattle, 2 classes, RGB (8-bit), 500 px.",
        "labels": "segmentation",
        "data_sets": ["nz-cattle"],
        "splits": [524, 66, 65],
    },
    "m-NeonTree": {
        "summary": "Maps of tree crowns, 2 classes, RGB (8-bit), 400 px; without height and hyperspectral planes.",
        "labels": "segmentation",
        "data_sets": ["NeonTree"],
        "splits": [270, 94, 93],
    },
}


class _Folder(Task):
    """A data set folder in GEO-Bench's format."""

    band_labels: Literal["published", "corrected"]
    unreadable: Literal["refuse", "skip"]
    unit: str | None
    folder: str
    ignore: int | None
    picture = False

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The data set's folder."""
        return (find_data_set(places, self.folder),)

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The archive of a published data set."""
        return archives(self.folder)

    def pack(self, places: Places) -> Pack:
        """The data set, its default partition in the roles, the others as smaller fits."""
        return pack_data_set(
            places,
            self.folder,
            band_labels=self.band_labels,
            unit=self.unit,
            unreadable=self.unreadable,
            picture=self.picture,
            ignore=self.ignore,
        )


@task(DATA_SETS, paper="2306.03831", licence="of each data set")
class GeoBenchTask(_Folder):
    """A task of GEO-Bench v1 (Lacoste et al. 2023), its default partition; its train partitions are smaller fits.

    Images are what the field reports on: without canopy height, hyperspectral planes and probabilities of cloud, which
    m-NeonTree, m-cashew-plant and m-SA-crop-type have beside them on scales of their own. Classes are numbered as the
    specifications say, whichever of them a partition shows.

    band_labels: `published` names as everyone reports on, or `corrected` ones where they are known to be wrong.
    ignore: a class of pixels that counts nowhere, such as 0 of m-cashew-plant (no data): it is no class then, and those
    after it move up, so that there are six. Another question than with seven, and of another identity.
    """

    version = 1
    picture = True

    def __init__(
        self,
        name: str,
        *,
        band_labels: Literal["published", "corrected"] = "published",
        unreadable: Literal["refuse", "skip"] = "refuse",
        ignore: int | None = None,
    ) -> None:
        self.name = self.folder = name
        self.data_sets = tuple(str(of) for of in DATA_SETS[name]["data_sets"])
        self.band_labels, self.unreadable, self.unit = band_labels, unreadable, None
        self.ignore = ignore
        if ignore is not None and DATA_SETS[name]["labels"] != "segmentation":
            raise UserError(f"task {name!r}: ignore = {ignore} is for maps of classes; its labels are of whole images")

    def label_kind(self, places: Places) -> str:
        """As published, so that planning reads nothing."""
        return str(DATA_SETS[self.name]["labels"])


@task("geobench")
class GeoBenchFolder(_Folder):
    """Any data set folder in GEO-Bench v1's format, named by its folder (`name`, or `benchmark/name`).

    unit: what the pixels are in, which the format does not say: needed unless the data set is known, or its bands and
    type leave no doubt. ignore: a class of pixels that counts nowhere, and is no class then.
    """

    version = 1

    def __init__(
        self,
        *,
        name: str,
        unit: str | None = None,
        band_labels: Literal["published", "corrected"] = "published",
        unreadable: Literal["refuse", "skip"] = "refuse",
        ignore: int | None = None,
    ) -> None:
        self.folder, self.name = name, name.rstrip("/").split("/")[-1]
        self.data_sets = (self.name.removeprefix("m-"),)
        self.band_labels, self.unreadable, self.unit = band_labels, unreadable, unit
        self.ignore = ignore
