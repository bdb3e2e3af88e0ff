"""Writes `tests/golden/geobench/` with the real `geobench` library, which is what our reader must read alike.

Run it in an environment of its own, for the library's pins fit no other:

    python -m venv ENV && ENV/bin/pip install --no-deps geobench==1.0.0
    ENV/bin/pip install numpy h5py rasterio pandas scipy tqdm matplotlib seaborn
    ENV/bin/python tests/golden/write_geobench_fixture.py
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "geobench"
SIZE = 8
SPLITS = {"train": 2, "valid": 1, "test": 1}
DAY = datetime.date(2020, 5, 17)


def main() -> None:
    """Three data sets (classes, labels at once, maps), and what the library itself reads from them."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.environ["GEO_BENCH_DIR"] = str(FOLDER)
    import geobench

    sentinel = {band.name[:3].strip(): band for band in geobench.sentinel2_13_bands}
    kinds = {
        "m-classes": (
            [sentinel[key] for key in ("02", "04", "05", "08A")],
            geobench.Classification(3, class_names=["field", "forest", "water"]),
        ),
        "m-labels": (
            geobench.make_rgb_bands(1),
            geobench.MultiLabelClassification(4, class_names=["road", "roof", "tree", "pool"]),
        ),
        "m-maps": (
            geobench.landsat8_9_bands[1:3],
            geobench.SegmentationClasses("label", 30, 2, class_names=["background", "cattle"]),
        ),
    }
    read: dict[str, np.ndarray] = {}
    for name, (bands, label_type) in kinds.items():
        benchmark = "segmentation_v1.0" if name == "m-maps" else "classification_v1.0"
        write(geobench, FOLDER / benchmark / name, benchmark, bands, label_type)
        read |= {f"{name}/{key}": value for key, value in expected(geobench, FOLDER / benchmark / name).items()}
    np.savez_compressed(FOLDER / "expected.npz", **read)


def write(geobench: Any, folder: Path, benchmark: str, bands: list[Any], label_type: Any) -> None:
    """A data set of four samples; its partitions, statistics and specifications."""
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True)
    geobench.TaskSpecifications(
        dataset_name=folder.name,
        benchmark_name=benchmark,
        bands_info=bands,
        spatial_resolution=10,
        patch_size=(SIZE, SIZE),
        n_time_steps=1,
        label_type=label_type,
    ).save(folder, overwrite=True)
    partition, labels = geobench.Partition(), {}
    names = [(split, f"id_{number}") for number, split in enumerate(s for s, n in SPLITS.items() for _ in range(n))]
    for number, (split, name) in enumerate(names):
        label = label_of(geobench, folder.name, label_type, rng, number)
        made = [pixels(geobench, folder.name, band, rng) for band in bands]
        geobench.Sample(made, label=label, sample_name=name).write(folder)
        partition.add(split, name)
        labels.setdefault(str(number % 3), []).append(name)
    partition.save(folder, "default")
    first = {**partition.partition_dict, "train": partition.partition_dict["train"][:1]}
    geobench.Partition(first).save(folder, "0.50x_train")
    if folder.name == "m-classes":
        (folder / "label_map.json").write_text(json.dumps(labels))


def pixels(geobench: Any, name: str, band: Any, rng: np.random.Generator) -> Any:
    """A band; one data set has coarser bands and a place on the ground, one has dates."""
    import rasterio

    size = SIZE // 2 if name == "m-classes" and band.spatial_resolution == 20 else SIZE
    kind = {"m-classes": "int16", "m-labels": "uint8", "m-maps": "float64"}[name]
    values = rng.integers(0, 250, (size, size)) * (10 if kind == "int16" else 1)
    placed = {
        "transform": rasterio.transform.from_origin(500_000, 4_649_776, 10, 10),
        "crs": rasterio.crs.CRS.from_epsg(32632),
        "meta_info": {"cloud": np.float32(0.25), "tile": "T32TQM"},
    }
    return geobench.Band(
        (values / 250 if kind == "float64" else values).astype(kind),
        band,
        band.spatial_resolution,
        date=DAY if name == "m-maps" else None,
        **(placed if name == "m-classes" else {"transform": None, "crs": None}),
    )


def label_of(geobench: Any, name: str, label_type: Any, rng: np.random.Generator, number: int) -> Any:
    """A class, zeros and ones, or a band of classes."""
    if name == "m-classes":
        return number % 3
    if name == "m-labels":
        return np.array([number % 2, 1 - number % 2, 1, 0])
    return geobench.Band(rng.integers(0, 2, (SIZE, SIZE)).astype("uint8"), label_type, 30, transform=None, crs=None)


def expected(geobench: Any, folder: Path) -> dict[str, np.ndarray]:
    """What the library reads: images [N, C, H, W] and labels, in the order train, valid, test."""
    specs = geobench.load_task_specs(folder)
    names = [band.name for band in specs.bands_info]
    images, labels = [], []
    for split in SPLITS:
        data_set = geobench.GeobenchDataset(folder, split=split, band_names=names)
        for sample in (data_set[row] for row in range(len(data_set))):
            image, _ = sample.pack_to_3d(names, resample=True)
            images.append(np.moveaxis(image, 2, 0))
            labels.append(sample.label.data if hasattr(sample.label, "band_info") else sample.label)
    return {"images": np.stack(images), "labels": np.array(labels), "bands": np.array(names)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as elsewhere:
        os.environ["MPLCONFIGDIR"] = elsewhere
        main()
