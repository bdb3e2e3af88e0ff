"""Tasks of GEO-Bench-2 through its own library, `geobenchv2`, where that is installed: its sets of single images."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from deo_bench.bands import Unit, band_set
from deo_bench.data import Pack, Places
from deo_bench.data.pack import input_key, pack_once
from deo_bench.data.scene_set import Scenes, pack_scenes, whole_numbers
from deo_bench.data.torchgeo_sets import one_line
from deo_bench.errors import MissingInput
from deo_bench.tasks import Task, task

READER = 1
"""Bumped when the same files would be packed to other content."""

IGNORE = 255
"""What pixels are labelled that have no class."""

GEOBENCH2: dict[str, dict[str, Any]] = {
    "gb2-benv2": {
        "summary": "Land cover, 19 labels at once, Sentinel-2 (12 bands), 120 px: BigEarthNet v2 in GEO-Bench-2.",
        "of": "GeoBenchBENV2",
        "files": ["geobench_benv2.tortilla"],
        "labels": "multi",
        "modality": "s2",
        "data_sets": ["bigearthnet"],
        "splits": [20000, 4000, 4000],
    },
    "gb2-so2sat": {
        "summary": "Local climate zones, 17 classes, Sentinel-2 (10 bands, reflectance), 32 px: So2Sat of GEO-Bench-2.",
        "of": "GeoBenchSo2Sat",
        "files": ["geobench_so2sat.tortilla"],
        "labels": "single",
        "modality": "s2",
        "data_sets": ["so2sat"],
    },
    "gb2-forestnet": {
        "summary": "Drivers of deforestation, 12 classes, Landsat-8 (6 bands, 8-bit), 332 px: GEO-Bench-2.",
        "of": "GeoBenchForestnet",
        "files": ["geobench_forestnet.tortilla"],
        "labels": "single",
        "modality": "",
        "data_sets": ["forestnet"],
    },
    "gb2-treesatai": {
        "summary": "Kinds of trees, 15 labels at once, aerial RGB and NIR (8-bit), 304 px: TreeSatAI of GEO-Bench-2.",
        "of": "GeoBenchTreeSatAI",
        "files": ["geobench_treesatai.tortilla"],
        "labels": "multi",
        "modality": "aerial",
        "data_sets": ["treesatai"],
        "splits": [4000, 1000, 2000],
    },
    "gb2-burn_scars": {
        "summary": "Burnt or not, Landsat and Sentinel-2 (6 bands, reflectance), 512 px: GEO-Bench-2.",
        "of": "GeoBenchBurnScars",
        "files": ["geobench_burn_scars.tortilla"],
        "labels": "segmentation",
        "modality": "",
        "data_sets": ["burn_scars"],
        "splits": [524, 160, 120],
    },
    "gb2-cloudsen12": {
        "summary": "Clouds and their shadows, 4 classes, Sentinel-2 (12 bands), 512 px: CloudSEN12 of GEO-Bench-2.",
        "of": "GeoBenchCloudSen12",
        "files": ["geobench_cloudsen12.tortilla"],
        "labels": "segmentation",
        "modality": "",
        "data_sets": ["cloudsen12"],
        "splits": [4000, 535, 975],
    },
    "gb2-flair2": {
        "summary": "Land cover, 13 classes, aerial RGB and NIR (8-bit), 512 px: FLAIR#2 of GEO-Bench-2.",
        "of": "GeoBenchFLAIR2",
        "files": ["geobench_flair2.tortilla"],
        "labels": "segmentation",
        "modality": "aerial",
        "data_sets": ["flair2"],
        "splits": [4049, 1022, 3022],
    },
    "gb2-spacenet2": {
        "summary": "Buildings of four cities, WorldView (8 bands, counts of the sensor): SpaceNet 2 of GEO-Bench-2.",
        "of": "GeoBenchSpaceNet2",
        "files": ["geobench_spacenet2.tortilla"],
        "labels": "segmentation",
        "modality": "worldview",
        "data_sets": ["spacenet2"],
        "splits": [5186, 1461, 2961],
    },
    "gb2-spacenet7": {
        "summary": "Buildings, PlanetScope RGB (8-bit): SpaceNet 7 of GEO-Bench-2, each date an image.",
        "of": "GeoBenchSpaceNet7",
        "files": ["geobench_spacenet7.tortilla"],
        "labels": "segmentation",
        "modality": "",
        "data_sets": ["spacenet7"],
        "splits": [3500, 652, 1152],
    },
}

_AERIAL = {"red": "R", "green": "G", "blue": "B", "nir": "B08"}
_WORLDVIEW = ("coastal", "blue", "green", "yellow", "red", "red_edge", "nir1", "nir2")

_IMAGES: dict[str, tuple[dict[str, str], Unit, type]] = {
    "gb2-benv2": ({band: band for band in band_set("s2_12")}, "dn", np.uint16),
    "gb2-so2sat": ({band: band for band in band_set("s2_10")}, "reflectance", np.float32),
    "gb2-forestnet": ({band: band for band in band_set("hls_6")}, "uint8", np.uint8),
    "gb2-treesatai": (_AERIAL, "uint8", np.uint8),
    "gb2-burn_scars": ({band: band for band in band_set("hls_6")}, "reflectance", np.float32),
    "gb2-cloudsen12": ({band: band for band in band_set("s2_12")}, "dn", np.uint16),
    "gb2-flair2": (_AERIAL, "uint8", np.uint8),
    "gb2-spacenet2": (dict(zip(_WORLDVIEW, band_set("wv_8"), strict=True)), "dn", np.uint16),
    "gb2-spacenet7": ({band: _AERIAL[band] for band in ("red", "green", "blue")}, "uint8", np.uint8),
}
"""The library's names of bands and ours, the unit, and the type of the numbers in the files."""

_NO_CLASS = {"gb2-burn_scars": (2,), "gb2-flair2": (-1,)}
"""Labels by which the library means none."""

_ROLES = {"train": "fit", "validation": "select", "test": "report"}


@task(GEOBENCH2, paper="https://arxiv.org/abs/2511.15658", licence="of each data set")
class GeoBench2Task(Task):
    """A set of single images of GEO-Bench-2 (2025), read by its library `geobenchv2` (0.9), which comes in no extra.

    Folder `geobench2`, with the library's `.tortilla` files. Bands are named as the library names them, and values are
    as they are in the files: nothing is normalised. Of several sensors one is packed. TreeSatAI's aerial bands stand in
    two orders in the library, of which its reader's is used.
    """

    version = 1
    folder = "geobench2"

    def __init__(self, name: str) -> None:
        self.name, self.facts = name, GEOBENCH2[name]
        self.data_sets = tuple(str(of) for of in self.facts["data_sets"])

    def label_kind(self, places: Places) -> str:
        """Known without the images."""
        return str(self.facts["labels"])

    def bands(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return tuple(_IMAGES[self.name][0].values())

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The data set's files."""
        try:
            return tuple(places.find(f"{self.folder}/{file}", f"task {self.name}") for file in self.facts["files"])
        except MissingInput as error:
            raise MissingInput(str(error), f"or fetch it: deo-bench data download {self.name}") from None

    def pack(self, places: Places) -> Pack:
        """The data set's images of one sensor, in the library's order."""
        files = self.inputs(places)
        key = input_key(self.name, files, {"set": self.name}, READER)
        return pack_once(places, key, lambda folder: pack_scenes(folder, self.name, self._scenes(files[0].parent)))

    def download(self, places: Places) -> Path:
        """Fetch the data set's files into the folder; the library does it, and compares their checksums."""
        if places.root is None:
            raise MissingInput("no folder of data is given", "say --data FOLDER, or set DEO_BENCH_DATA")
        root = places.root / self.folder
        self._opened(root, "train", download=True)
        return root

    def _scenes(self, root: Path) -> Scenes:
        sets = {split: self._opened(root, split) for split in _ROLES}
        places = [(split, place) for split, found in sets.items() for place in range(len(found))]
        names, unit, dtype = _IMAGES[self.name]
        classes = tuple(map(str, sets["train"].classes))
        key = f"image_{self.facts['modality']}" if self.facts["modality"] else "image"

        def read(at: int) -> tuple[np.ndarray, np.ndarray]:
            split, place = places[at]
            with one_line(f"geobenchv2's {self.facts['of']}", root):
                sample = sets[split][place]
                pixels = np.asarray(sample[key])
                label = self._label(sample["mask" if "mask" in sample else "label"], classes)
            kept = pixels.astype(np.float32) if dtype is np.float32 else whole_numbers(pixels, dtype, self.name)
            return kept, label

        ignore = IGNORE if self.facts["labels"] == "segmentation" else None
        roles = [_ROLES[split] for split, _ in places]
        return Scenes(roles, read, tuple(names.values()), unit, classes, ignore)

    def _label(self, given: Any, classes: Sequence[str]) -> np.ndarray:
        """A class (by its number or its name), zeros and ones, or a map in which what has no class is IGNORE."""
        if isinstance(given, str):
            return np.asarray(classes.index(given))
        label = np.asarray(given)
        if self.facts["labels"] != "segmentation":
            return label.astype(np.uint8 if label.ndim else np.int64)
        return np.where(np.isin(label, _NO_CLASS.get(self.name, ())), IGNORE, label).astype(np.int16)

    def _opened(self, root: Path, split: str, download: bool = False) -> Any:
        if find_spec("geobench_v2") is None:
            raise MissingInput(f"task {self.name}: needs geobenchv2, which is not installed", "pip install geobenchv2")
        names = list(_IMAGES[self.name][0])
        order = {self.facts["modality"]: names} if self.facts["modality"] else names
        try:
            library = importlib.import_module("geobench_v2.datasets")
        except ImportError as error:
            told = f"task {self.name}: geobench_v2 cannot be imported ({error})"
            raise MissingInput(told, "pip install geobenchv2") from None
        who = f"geobenchv2's {self.facts['of']}"
        with one_line(who, root), contextlib.redirect_stdout(io.StringIO()):  # it says how it normalises
            of = getattr(library, str(self.facts["of"]))
            return of(root=str(root), split=split, band_order=order, data_normalizer=_as_it_is, download=download)


def _as_it_is(images: Any) -> Any:
    return images
