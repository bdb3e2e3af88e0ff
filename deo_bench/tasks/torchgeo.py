"""Tasks on torchgeo's data sets: its own splits where there are any, packed once, looked for in a folder each."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Literal

from deo_bench.bands import band_set
from deo_bench.data import Pack, Places
from deo_bench.data.download import Download
from deo_bench.data.pack import input_key, pack_once
from deo_bench.data.scene_set import Scenes, pack_scenes
from deo_bench.data.sen1floods11 import CHIPS, CLASSES, LISTS, sen1floods11
from deo_bench.data.torchgeo_files import (
    bigearthnet_files,
    by_torchgeo,
    eurosat_files,
    oscd_files,
    pastis_files,
    spacenet1_files,
)
from deo_bench.data.torchgeo_sets import CHANGE, bigearthnet, eurosat, levircd, oscd, pastis, spacenet1
from deo_bench.declarations import Count, Fraction
from deo_bench.errors import MissingInput, UserError
from deo_bench.tasks import Task, task

READER = 1
"""Bumped when the same files would be packed to other content."""

EUROSAT = {
    "eurosat": {
        "summary": "Land cover, 10 classes, Sentinel-2 (13 bands), 64 px: all of EuroSAT, torchgeo's random splits.",
        "splits": [16200, 5400, 5400],
        "options": {"split": "random"},
    },
    "eurosat-spatial": {
        "summary": "Land cover, 10 classes, Sentinel-2 (13 bands), 64 px: EuroSAT split by longitude.",
        "splits": [16200, 5400, 5400],
        "options": {"split": "spatial"},
    },
}


class _Set(Task):
    """A data set that one of torchgeo's classes knows.

    folder: where its files are looked for, under the root of data; of: torchgeo's class, if it has one; labels_are:
    the kind of its labels; parts: what must lie in the folder, which stands for the files when it is asked whether a
    pack is still true.
    """

    folder: str
    of: str
    labels_are: str
    patch: int | None = None

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """Files and folders of the data set, relative to its folder."""

    @abstractmethod
    def scenes(self, root: Path) -> Scenes:
        """The data set, opened."""

    def label_kind(self, places: Places) -> str:
        """Known without the images."""
        return self.labels_are

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The data set's folder, where its files or an archive of them lie in it."""
        root = self._root(places)
        lacking = [part for part in self.parts if not (root / part).exists()]
        if lacking and not any(list(root.glob(pattern)) for pattern in ("*.zip", "*.tar.gz*")):
            raise self._missing(places, f"{root} has no {lacking[0]}")
        return (root,)

    def pack(self, places: Places) -> Pack:
        """The data set, read once; files that are changed without a change of their folder are not noticed."""
        (root,) = self.inputs(places)
        if not all((root / part).exists() for part in self.parts):
            self.scenes(root)  # torchgeo unpacks the archives that lie there
        options = {key: value for key, value in vars(self).items() if key != "data_sets"}
        key = input_key(self.name, [root / part for part in self.parts], options, READER)
        return pack_once(places, key, lambda folder: pack_scenes(folder, self.name, self.scenes(root), self.patch))

    def remedy(self, places: Places) -> str:
        """How to get the data set where it is not there."""
        return f"deo-bench data download {self.name}"

    def _root(self, places: Places) -> Path:
        try:
            return places.find(self.folder, "its folder")
        except MissingInput as error:
            raise self._missing(places, str(error)) from None

    def _missing(self, places: Places, told: str) -> MissingInput:
        known = f" (torchgeo's {self.of})" if self.of else ""
        return MissingInput(f"task {self.name}{known}: {told}", f"or get it: {self.remedy(places)}")


@task(EUROSAT, data_sets=["eurosat"], paper="https://arxiv.org/abs/1709.00029", licence="MIT")
class EuroSat(_Set):
    """EuroSAT (Helber et al. 2019) through torchgeo's `EuroSAT` and `EuroSATSpatial`, in the folder `eurosat`.

    split: `random` (Neumann et al. 2019, arXiv 1911.06721) or `spatial` (by longitude, 60, 20 and 20 %).
    """

    version = 1
    data_sets = ("eurosat",)
    folder, labels_are = "eurosat", "single"

    def __init__(self, name: str, *, split: Literal["random", "spatial"] = "random") -> None:
        self.name = name
        self.of, self.lists = ("EuroSATSpatial", "eurosat-spatial") if split == "spatial" else ("EuroSAT", "eurosat")

    @property
    def parts(self) -> tuple[str, ...]:
        """The lists of splits, and the folder of the classes."""
        images = "ds/images/remote_sensing/otherDatasets/sentinel_2/tif"
        return (*(f"{self.lists}-{split}.txt" for split in ("train", "val", "test")), images)

    def scenes(self, root: Path) -> Scenes:
        """Through torchgeo."""
        return eurosat(self.of, root)

    def bands(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return band_set("s2_13")

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The archive and the lists of splits."""
        return eurosat_files(self.lists)


@task(
    "bigearthnet",
    data_sets=["bigearthnet"],
    splits=[269695, 123723, 125866],
    paper="https://arxiv.org/abs/1902.06148",
    licence="CDLA-Permissive-1.0",
)
class BigEarthNet(_Set):
    """Land cover, 19 or 43 labels at once, Sentinel-2 (12 bands), 120 px: BigEarthNet v1, torchgeo's splits.

    Folder `bigearthnet` (torchgeo's `BigEarthNet`). labels: 19 of the revised nomenclature, or the 43 of CORINE. count:
    at most so many images of each split, drawn with a fixed seed: all of them are 180 GB when packed.
    """

    version = 1
    data_sets = ("bigearthnet",)
    folder, of, labels_are = "bigearthnet", "BigEarthNet", "multi"

    def __init__(self, *, labels: Literal[19, 43] = 19, count: Count | None = None) -> None:
        self.name, self.labels, self.count = "bigearthnet", labels, count

    @property
    def parts(self) -> tuple[str, ...]:
        """The lists of splits, and the folder of the patches."""
        return (*(f"bigearthnet-{split}.csv" for split in ("train", "val", "test")), "BigEarthNet-v1.0")

    def scenes(self, root: Path) -> Scenes:
        """Through torchgeo."""
        return bigearthnet(self.of, root, self.labels, self.count)

    def bands(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return band_set("s2_12")

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The archive of Sentinel-2 and the lists of splits."""
        return bigearthnet_files()


@task("oscd", data_sets=["oscd"], paper="https://arxiv.org/abs/1810.08468", licence="of the data set")
class Oscd(_Set):
    """Change of cities between two dates, Sentinel-2 (13 bands, L1C), 24 scenes: OSCD, 14 train and 10 test.

    Folder `oscd` (torchgeo's `OSCD`). patch: scenes are cut into whole squares of so many pixels, what is left at
    their edges is left out, and the squares of one scene are a group. select: the share of the train scenes, drawn with
    a fixed seed, that chooses: OSCD has no validation split.
    """

    version = 1
    data_sets = ("oscd",)
    folder, of, labels_are = "oscd", "OSCD", "change"

    def __init__(self, *, patch: Count = 96, select: Fraction = 0.2) -> None:
        self.name, self.patch, self.select = "oscd", patch, select

    @property
    def parts(self) -> tuple[str, ...]:
        """The three folders of torchgeo's three archives."""
        names = ("Images", "Train Labels", "Test Labels")
        return tuple(f"Onera Satellite Change Detection dataset - {name}" for name in names)

    def scenes(self, root: Path) -> Scenes:
        """Through torchgeo."""
        return oscd(self.of, root, self.select)

    def bands(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return band_set("s2_13")

    def class_names(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return CHANGE

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The three archives."""
        return oscd_files()


@task(
    "levircd",
    data_sets=["levircd"],
    splits=[445, 64, 128],
    paper="https://doi.org/10.3390/rs12101662",
    licence="research only",
)
class LevirCd(_Set):
    """Buildings that came or went between two dates, RGB (8-bit, 0.5 m), 1,024 px: LEVIR-CD, its own splits.

    Folder `levircd` (torchgeo's `LEVIRCD`). patch: images are cut into whole squares of so many pixels, those of one
    pair a group.
    """

    version = 1
    data_sets = ("levircd",)
    folder, of, labels_are = "levircd", "LEVIRCD", "change"

    def __init__(self, *, patch: Count = 256) -> None:
        self.name, self.patch = "levircd", patch

    @property
    def parts(self) -> tuple[str, ...]:
        """The earlier images, the later, and where they differ."""
        return ("A", "B", "label")

    def scenes(self, root: Path) -> Scenes:
        """Through torchgeo."""
        return levircd(self.of, root)

    def bands(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return ("R", "G", "B")

    def class_names(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return CHANGE

    def remedy(self, places: Places) -> str:
        """torchgeo's own download, of three archives that become one folder."""
        return by_torchgeo(self.of, (places.root or Path()) / self.folder)


@task("spacenet1", data_sets=["spacenet1"], paper="https://arxiv.org/abs/1807.01232", licence="CC-BY-SA-4.0")
class SpaceNet1(_Set):
    """Buildings of Rio, RGB (8-bit, 0.5 m, 406 x 439 px) or WorldView-2's 8 bands (102 x 110 px): SpaceNet 1.

    Folder `spacenet1` (torchgeo's `SpaceNet1`). image: `3band` or `8band`; the 8 bands are counts of the sensor, no
    reflectance. select, report: shares of the 6,940 train chips, drawn with a fixed seed: no others are labelled.
    patch: chips are cut into whole squares of so many pixels, those of one chip a group.
    """

    version = 1
    data_sets = ("spacenet1",)
    folder, of, labels_are = "spacenet1", "SpaceNet1", "segmentation"

    def __init__(
        self,
        *,
        image: Literal["3band", "8band"] = "3band",
        select: Fraction = 0.1,
        report: Fraction = 0.2,
        patch: Count | None = None,
    ) -> None:
        self.name, self.image, self.select, self.report, self.patch = "spacenet1", image, select, report, patch

    @property
    def parts(self) -> tuple[str, ...]:
        """The chips, and their footprints."""
        return (f"SN1_buildings/train/{self.image}", "SN1_buildings/train/geojson")

    def scenes(self, root: Path) -> Scenes:
        """Through torchgeo."""
        return spacenet1(self.of, root, self.image, (self.select, self.report))

    def bands(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return ("R", "G", "B") if self.image == "3band" else band_set("wv_8")

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The archives of the chips and of their footprints."""
        return spacenet1_files(self.image)


@task("pastis", data_sets=["pastis"], paper="https://arxiv.org/abs/2107.07933", licence="of the data set")
class Pastis(_Set):
    """Crops of parcels, 19 classes, Sentinel-2 (10 bands, L2A), 128 px: PASTIS, a time series made one image.

    Folder `pastis` (torchgeo's `PASTIS`, which reads PASTIS-R's folder). temporal: `median` over the dates, or the
    number of one, from 0. fold: which of the five official rotations of the folds; 1 fits on folds 1, 2 and 3, selects
    on 4 and reports on 5. Void (19) is ignored.
    """

    version = 1
    data_sets = ("pastis",)
    folder, of, labels_are = "pastis", "PASTIS", "segmentation"

    def __init__(
        self, *, temporal: str | int = "median", fold: Literal[1, 2, 3, 4, 5] = 1, patch: Count | None = None
    ) -> None:
        if temporal != "median" and not isinstance(temporal, int):
            raise UserError(
                f'task pastis: temporal = {temporal!r}; there are "median" and the number of a date, from 0'
            )
        self.name, self.temporal, self.fold, self.patch = "pastis", temporal, fold, patch

    @property
    def parts(self) -> tuple[str, ...]:
        """The list of patches with their folds, the series and the labels."""
        return ("PASTIS-R/metadata.geojson", "PASTIS-R/DATA_S2", "PASTIS-R/ANNOTATIONS")

    def scenes(self, root: Path) -> Scenes:
        """Through torchgeo."""
        return pastis(self.of, root, self.fold, self.temporal)

    def bands(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return band_set("s2_10")

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The archive of PASTIS-R."""
        return pastis_files()


@task(
    "sen1floods11",
    data_sets=["sen1floods11"],
    splits=[252, 89, 90],
    paper="https://doi.org/10.1109/CVPRW50498.2020.00113",
    licence="of the data set",
)
class Sen1Floods11(_Set):
    """Water or none, Sentinel-2 (13 bands, L1C), 512 px, hand-labelled floods: Sen1Floods11, its own splits.

    Folder `sen1floods11`, the published tree of its `v1.1` (torchgeo has no class of it). patch: chips are cut into
    whole squares of so many pixels, those of one chip a group. Pixels without a label are ignored.
    """

    version = 1
    data_sets = ("sen1floods11",)
    folder, of, labels_are = "sen1floods11", "", "segmentation"

    def __init__(self, *, patch: Count | None = None) -> None:
        self.name, self.patch = "sen1floods11", patch

    @property
    def parts(self) -> tuple[str, ...]:
        """The lists of splits, the chips and their labels."""
        lists = (f"splits/flood_handlabeled/flood_{name}_data.csv" for name in LISTS)
        return (*lists, f"{CHIPS}/S2Hand", f"{CHIPS}/LabelHand")

    def scenes(self, root: Path) -> Scenes:
        """From its GeoTIFFs."""
        return sen1floods11(root)

    def bands(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return band_set("s2_13")

    def class_names(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return CLASSES

    def remedy(self, places: Places) -> str:
        """Its files lie one by one in a public bucket."""
        return f"gsutil -m rsync -r gs://sen1floods11/v1.1 {(places.root or Path()) / self.folder}"
