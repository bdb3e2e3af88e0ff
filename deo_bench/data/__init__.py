"""What images are on disk: packed once into JSON and one memory-mapped array; no pickle is touched after that."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deo_bench.bands import Unit
from deo_bench.errors import MissingInput, UserError
from deo_bench.registry import decorator

if TYPE_CHECKING:
    from deo_bench.data.download import Download

SPLITS = ("fit", "select", "report")
"""The roles of a split: what is fitted on, what chooses, what is reported. Data sets call them train, valid, test."""


@dataclass(frozen=True)
class Places:
    """Where data are looked for and where the cache is.

    root: `--data`, else `DEO_BENCH_DATA`, else `GEO_BENCH_DIR`, else none; cache: `DEO_BENCH_CACHE`, else `cache/` in
    the store. Nothing is created by looking.
    """

    root: Path | None
    cache: Path

    @classmethod
    def of(cls, store: Path, data: Path | None = None) -> Places:
        """The places that the command line and the environment say."""
        given = data or os.environ.get("DEO_BENCH_DATA") or os.environ.get("GEO_BENCH_DIR")
        cache = os.environ.get("DEO_BENCH_CACHE")
        return cls(Path(given) if given else None, Path(cache) if cache else store / "cache")

    def find(self, relative: str, what: str) -> Path:
        """A file or folder under the root; an absolute path stays itself."""
        path = Path(relative) if Path(relative).is_absolute() else (self.root or Path()) / relative
        if self.root is None and not Path(relative).is_absolute():
            raise MissingInput(
                f"{what}: no folder of data is given", "say --data FOLDER, or set DEO_BENCH_DATA or GEO_BENCH_DIR"
            )
        if not path.exists():
            if Path(relative).is_absolute():
                raise MissingInput(f"{what}: {path} is not there")
            remedy = f"put it under {self.root}, or point --data elsewhere"
            if self.root is not None and not self.root.is_dir():
                remedy = f"{self.root} is no folder; point --data (or DEO_BENCH_DATA) at the one that has it"
            raise MissingInput(f"{what}: {path} is not there", remedy)
        return path


@dataclass(frozen=True)
class Pack:
    """Packed images of one data set.

    images: [N, C, H, W], memory-mapped, in `unit`; bands: C canonical names; labels: [N] class ids, [N] numbers
    (float64), [N, K] zeros and ones, [N, H, W] classes of pixels, or none; splits: role -> indices, disjoint;
    partitions: name -> indices of a smaller *fit*; groups: [N] ids of what is not independent, or none; fine: [N, 3, s
    * H, s * W], memory-mapped, the same ground in RGB (B04, B03, B02) s times finer, in `unit`, or none; later: [N, C,
    H, W], memory-mapped, the same ground at a later date, in the images' bands and type, or none; mean, std: [C] of the
    fit split's pixels (of the earlier date), in `unit`; content: sha256 of everything above; pixels, later_pixels:
    sha256 of the images alone, so that embeddings are shared by tasks on the same images; notes: what the reader had to
    say (what it skipped, an order of bands that looks wrong), no part of the content.
    """

    name: str
    images: np.ndarray
    bands: tuple[str, ...]
    unit: Unit
    mean: np.ndarray
    std: np.ndarray
    content: str
    pixels: str
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    splits: Mapping[str, np.ndarray] = field(default_factory=dict)
    partitions: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None
    ignore: int | None = None
    band_labels: str = "published"
    fine: np.ndarray | None = None
    later: np.ndarray | None = None
    later_pixels: str = ""
    notes: tuple[str, ...] = ()

    @property
    def label_kind(self) -> str:
        """`single`, `multi`, `regression`, `segmentation`, `change` (maps of labels for two dates), or `none`."""
        if self.labels is None:
            return "none"
        if self.labels.dtype.kind == "f":
            return "regression"
        return {1: "single", 2: "multi", 3: "segmentation" if self.later is None else "change"}[self.labels.ndim]

    def at_later(self) -> Pack:
        """The pack with the later date's images in the place of the earlier's."""
        if self.later is None:
            raise UserError(f"{self.name}: has images of one date alone")
        return replace(self, images=self.later, pixels=self.later_pixels, later=None, later_pixels="")

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.images)


class Data(ABC):
    """A source of pre-training images: `__init__(*, options)`. No torch here, so that planning stays light.

    `images_are` says which of a data set's images they are, where a table marks what was pre-trained on a task's.
    """

    version = 1
    images_are = "all of them"

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Names of what the images come from, to be held against the tasks'; none for what is no task's."""
        return ()

    @abstractmethod
    def pack(self, places: Places) -> Pack:
        """The images, packed if they are not yet; missing data are a MissingInput that says how to get them."""

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """Files and folders that the images are read from, found but not read; none for what is generated."""
        return ()

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The files that `deo-bench data download` brings, as a task's `downloads`; none where nobody offers them."""
        return ()

    def fingerprint(self, places: Places) -> str:
        """What of the images is in a run's identity: the content of what was packed.

        What is generated gives generator, version and seed instead, without generating anything.
        """
        return self.pack(places).content


data = decorator("data", Data)
