"""Tasks of GEO-Bench-2 through its own library, `geobenchv2`, where that is installed: its sets of single images."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from deo_bench.bands import Unit, band_set
from deo_bench.data import Pack, Places
from deo_bench.data.download import Download, hub_file
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
        "sha256": "821c2f429c3e85c158c758bbb215bf61170a2451a11284efaf0f89cef97e468a",
        "labels": "multi",
        "modality": "s2",
        "data_sets": ["bigearthnet"],
        "splits": [20000, 4000, 4000],
    },
    "gb2-so2sat": {
        "summary": "Local climate zones, 17 classes, Sentinel-2 (10 bands, reflectance), 32 px: So2Sat of GEO-Bench-2.",
        "of": "GeoBenchSo2Sat",
        "sha256": "2f9aa3a0cbf7f5071d2fafee24156a6041a9c732f0f979881b8db582201aa7bc",
        "labels": "single",
        "modality": "s2",
        "data_sets": ["so2sat"],
    },
    "gb2-forestnet": {
        "summary": "Drivers of deforestation, 12 classes, Landsat-8 (6 bands, 8-bit), 332 px: GEO-Bench-2.",
        "of": "GeoBenchForestnet",
        "sha256": "6ee7cb7135b4ca5d0cde52e781f5960ed0e648dcceab598982fa612802cd3ad1",
        "labels": "single",
        "modality": "",
        "data_sets": ["forestnet"],
    },
    "gb2-treesatai": {
        "summary": "Kinds of trees, 15 labels at once, aerial RGB and NIR (8-bit), 304 px: TreeSatAI of GEO-Bench-2.",
        "of": "GeoBenchTreeSatAI",
        "sha256": "0ddb8068720242ad4f5931ea91f3459ed695ad490bbaa48905afe72dd9623aee",
        "labels": "multi",
        "modality": "aerial",
        "data_sets": ["treesatai"],
        "splits": [4000, 1000, 2000],
    },
    "gb2-burn_scars": {
        "summary": "Burnt or not, Landsat and Sentinel-2 (6 bands, reflectance), 512 px: GEO-Bench-2.",
        "of": "GeoBenchBurnScars",
        "sha256": "9f865e72bc4aeb657ee03be167a093f80ee92403ccb2c23b4d19be1189e442aa",
        "labels": "segmentation",
        "modality": "",
        "data_sets": ["burn_scars"],
        "splits": [524, 160, 120],
    },
    "gb2-cloudsen12": {
        "summary": "Clouds and their shadows, 4 classes, Sentinel-2 (12 bands), 512 px: CloudSEN12 of GEO-Bench-2.",
        "of": "GeoBenchCloudSen12",
        "sha256": "16b3c03d7b15cf42f6ef0cee6d453b6ad8ebbe7744674c4b58657511f7f5d0c0",
        "labels": "segmentation",
        "modality": "",
        "data_sets": ["cloudsen12"],
        "splits": [4000, 535, 975],
    },
    "gb2-flair2": {
        "summary": "Land cover, 13 classes, aerial RGB and NIR (8-bit), 512 px: FLAIR#2 of GEO-Bench-2.",
        "of": "GeoBenchFLAIR2",
        "sha256": "f446098513d85591b8abae03e8d98447d2ab5173271f85c11f40edcdb1e2e1a9",
        "labels": "segmentation",
        "modality": "aerial",
        "data_sets": ["flair2"],
        "splits": [4049, 1022, 3022],
    },
    "gb2-spacenet2": {
        "summary": "Buildings of four cities, WorldView (8 bands, counts of the sensor): SpaceNet 2 of GEO-Bench-2.",
        "of": "GeoBenchSpaceNet2",
        "sha256": "e48e57654c1755a6b1c79bcfe172035a27b815ebe1738d1ce95d96d5c37214b6",
        "labels": "segmentation",
        "modality": "worldview",
        "data_sets": ["spacenet2"],
        "splits": [5186, 1461, 2961],
    },
    "gb2-spacenet7": {
        "summary": "Buildings, PlanetScope RGB (8-bit): SpaceNet 7 of GEO-Bench-2, each date an image.",
        "of": "GeoBenchSpaceNet7",
        "sha256": "f202abe270b729f7f2651de64cb5c6b41c5f9915109ec12b6c467afa2abcb5b6",
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

    Folder `geobench2`, with the data set's file, `geobench_*.tortilla`. Bands are named as the library names them, and
    values are as they are in the files: nothing is normalised. Of several sensors one is packed. TreeSatAI's aerial
    bands stand in two orders in the library, of which its reader's is used.
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

    @property
    def file(self) -> str:
        """The data set's one file, under the root of data."""
        return f"{self.folder}/geobench_{self.name.removeprefix('gb2-')}.tortilla"

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The data set's file."""
        try:
            return (places.find(self.file, f"task {self.name}"),)
        except MissingInput as error:
            raise MissingInput(str(error), f"or get it: deo-bench data download {self.name}") from None

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The data set's file."""
        repository = f"aialliance/{self.name.removeprefix('gb2-')}"
        address = hub_file(repository, PurePath(self.file).name)
        page = f"https://huggingface.co/datasets/{repository}"
        return (Download(address, to=self.file, sha256=self.facts["sha256"], page=page),)

    def pack(self, places: Places) -> Pack:
        """The data set's images of one sensor, in the library's order."""
        (file,) = self.inputs(places)
        key = input_key(self.name, [file], {"set": self.name}, READER)
        return pack_once(places, key, lambda folder: pack_scenes(folder, self.name, self._scenes(file.parent)))

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

    def _opened(self, root: Path, split: str) -> Any:
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
            return of(root=str(root), split=split, band_order=order, data_normalizer=_as_it_is)


def _as_it_is(images: Any) -> Any:
    return images
