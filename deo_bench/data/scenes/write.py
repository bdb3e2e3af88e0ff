"""The benchmark `scenes`: images under five labels, written in GEO-Bench's own format and packed by its reader."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from filelock import FileLock

from deo_bench.data import Pack, Places
from deo_bench.data.geobench import pack_data_set
from deo_bench.data.geobench_writer import LabelType, write_dataset
from deo_bench.data.scenes.land import LAND, land_cover
from deo_bench.data.scenes.render import MOISTURE, PARCELS, Scene, render
from deo_bench.data.scenes.spectra import BANDS, MATERIALS
from deo_bench.data.scenes.uses import SIZE, USES
from deo_bench.draws import numpy_generator

GENERATOR = 1
"""The generator's version: bumped when the same numbers would give another picture; a golden test sees it forgotten."""

CLASSIFICATION, SEGMENTATION = "classification_v1.0", "segmentation_v1.0"
"""The folders that GEO-Bench keeps such data sets in."""


@dataclass(frozen=True)
class Sizes:
    """How many images each role has."""

    fit: int
    select: int
    report: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.fit + self.select + self.report


@dataclass(frozen=True)
class Labelling:
    """One way to label a scene: the classes, and one of them, a truth value for each, or one of them a pixel."""

    label_type: LabelType
    classes: tuple[str, ...]
    label: Callable[[Scene], int | np.ndarray]

    @property
    def benchmark(self) -> str:
        """The folder that GEO-Bench would keep it in."""
        return SEGMENTATION if self.label_type == "segmentation" else CLASSIFICATION


def _visible(scene: Scene) -> np.ndarray:
    return np.array(scene.uses, dtype=np.uint8)


LABELLINGS: dict[str, Labelling] = {
    "scenes-cover": Labelling("single", MATERIALS, lambda scene: scene.factors.material),
    "scenes-moisture": Labelling(
        "single", tuple(f"{depth:.3f} cm" for depth in MOISTURE), lambda scene: scene.factors.moisture
    ),
    "scenes-parcels": Labelling("single", PARCELS, lambda scene: scene.factors.layout),
    "scenes-uses": Labelling("multi", USES, _visible),
    "scenes-land": Labelling("segmentation", LAND, lambda scene: land_cover(scene.classes)),
}
"""The tasks on the images of the benchmark, by name."""


def benchmark_scene(index: int) -> Scene:
    """A scene of the benchmark; the same whatever number of scenes is made."""
    return render(numpy_generator("scenes", "benchmark", index))


def pretraining_scene(seed: int, index: int) -> Scene:
    """A scene to pre-train on, of a stream of its own: no seed meets the benchmark or another seed."""
    return render(numpy_generator("scenes", "pretraining", seed, index))


def pretraining_pair(seed: int, index: int, fine: int) -> tuple[np.ndarray, np.ndarray]:
    """The image [C, H, W] of a scene to pre-train on, and its ground in red, green, blue `fine` times finer."""
    finer = render(numpy_generator("scenes", "pretraining", seed, index), scale=fine, visible=True)
    return pretraining_scene(seed, index).image, finer.image[::-1]


def benchmark_fingerprint(name: str, sizes: Sizes) -> str:
    """What a task of the benchmark is, without generating anything."""
    return f"{name} generator {GENERATOR}, {sizes.fit}+{sizes.select}+{sizes.report} images"


def pack_benchmark(places: Places, name: str, sizes: Sizes) -> Pack:
    """A task of the benchmark as a pack, made when it is asked for; the first call writes its whole folder."""
    version = "-".join(str(part) for part in (f"v{GENERATOR}", *astuple(sizes)))
    root = places.cache / "scenes" / version
    write_benchmark(root, sizes, LABELLINGS[name].benchmark)
    return pack_data_set(Places(root, places.cache), name, unit="dn")


def write_benchmark(root: Path, sizes: Sizes, benchmark: str = CLASSIFICATION) -> None:
    """Write the data sets that are not under `root` yet, in one process at a time; each appears whole or not at all.

    benchmark: which folder of them.
    """
    folder = root / benchmark
    if not _missing(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(str(root / "write.lock")):
        missing = _missing(folder)
        if not missing:
            return
        for left in folder.glob(".*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        images, labels = _generate(missing, sizes)
        for name in missing:
            _write(folder / name, name, images, labels[name], sizes)


def _missing(folder: Path) -> list[str]:
    wanted = (name for name, labelling in LABELLINGS.items() if labelling.benchmark == folder.name)
    return [name for name in wanted if not (folder / name).is_dir()]


def _generate(names: list[str], sizes: Sizes) -> tuple[np.ndarray, dict[str, list[int | np.ndarray]]]:
    """All images [N, C, H, W], made once, and their labels under each name."""
    images = np.empty((sizes.total, len(BANDS), SIZE, SIZE), dtype=np.int16)
    labels: dict[str, list[int | np.ndarray]] = {name: [] for name in names}
    for index in range(sizes.total):
        scene = benchmark_scene(index)
        images[index] = scene.image
        for name in names:
            labels[name].append(LABELLINGS[name].label(scene))
    return images, labels


def _write(folder: Path, name: str, images: np.ndarray, labels: list[int | np.ndarray], sizes: Sizes) -> None:
    ids = [f"scene_{index:05d}" for index in range(sizes.total)]
    cuts = np.cumsum([0, *astuple(sizes)])
    splits = zip(("train", "valid", "test"), pairwise(cuts.tolist()), strict=True)
    labelling = LABELLINGS[name]
    write_dataset(
        folder,
        dataset_name=name,
        benchmark_name=labelling.benchmark,
        bands=BANDS,
        label_type=labelling.label_type,
        class_names=labelling.classes,
        samples=zip(ids, images, labels, strict=True),
        partition={split: ids[start:stop] for split, (start, stop) in splits},
    )
