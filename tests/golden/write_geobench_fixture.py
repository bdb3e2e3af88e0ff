"""Writes `tests/golden/geobench.tar.xz` with the real `geobench` library, which is what our reader must read alike.

Run it in an environment of its own, for the library's pins fit no other:

    python -m venv ENV && ENV/bin/pip install --no-deps geobench==1.0.0
    ENV/bin/pip install numpy h5py rasterio pandas scipy tqdm matplotlib seaborn
    ENV/bin/python tests/golden/write_geobench_fixture.py

Every kind of task and of band that the format has is there, in the sizes and with the mistakes of the real data sets
where they are known (`m-eurosat` and `m-brick-kiln` name their bands wrongly); beside them `expected.npz`, what the
library's own reader gives.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import sys
import tarfile
import tempfile
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ARCHIVE = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "geobench.tar.xz"
SPLITS = ("train", "train", "valid", "test")
DAYS = (datetime.date(2020, 5, 17), datetime.date(2020, 8, 2))
PARTITIONS = ("0.01x", "0.02x", "0.05x", "0.10x", "0.20x", "0.50x", "1.00x")
MEANS = {"B01": 1354, "B02": 1118, "B03": 1042, "B04": 947, "B05": 1200, "B06": 2003, "B07": 2374, "B08": 2301}
MEANS |= {"B8A": 2600, "B09": 732, "B10": 12, "B11": 1821, "B12": 1119, "R": 90, "G": 95, "B": 99}
S2 = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
EUROSAT = (*S2[:8], "B09", "B10", "B11", "B12", "B8A")
BRICKS = ("B01", "B02", "B03", "B04", "B05", "B07", "B8A", "B08", "B11", "B12", "R", "G", "B")
CASHEW = ["no data", "well-managed", "poorly managed", "none", "residential", "background", "uncertain"]
EIGHT_BIT = dict.fromkeys(("Red", "Green", "Blue"), "uint8")


@dataclass
class Made:
    """A data set to make: its bands, its label type, the number type, and what else is particular about it."""

    bands: list[Any]
    label: Any
    kind: str
    benchmark: str = "classification_v1.0"
    size: int = 4
    truth: tuple[str, ...] = ()
    coarse: bool = False
    placed: bool = False
    dates: int = 0
    old: bool = False
    statistics: bool = False
    pickled_map: bool = False
    rgb: tuple[str, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)


def data_sets(gb: Any) -> dict[str, Made]:
    """Every data set by name."""
    s2 = {band.name.split(" ")[0]: band for band in gb.sentinel2_13_bands}
    ten = [s2[key] for key in ("02", "03", "04", "05", "06", "07", "08", "08A", "11", "12")]
    twelve = [band for band in gb.sentinel2_13_bands if band is not s2["10"]]
    # the two sensors come by turns, as in the real data set
    by_turns = [band for pair in zip(gb.sentinel1_8_bands, ten, strict=False) for band in pair] + ten[8:]
    classes = gb.Classification(3, class_names=["field", "forest", "water"])
    colours = ("red", "green", "blue")

    def maps(count: int, names: list[str] | None = None) -> Any:
        return gb.SegmentationClasses("label", 30, count, class_names=names)

    neon = [*gb.make_rgb_bands(0.1), gb.dataset.ElevationBand("CHM", spatial_resolution=1)]
    neon.append(gb.dataset.HyperSpectralBands("Neon", n_bands=4, spatial_resolution=1))
    # Benin and South Africa have no cirrus band, and the probability of cloud in its place
    clouded = [*twelve, gb.dataset.CloudProbability(("CLP", "CLM"), spatial_resolution=10)]
    seg = "segmentation_v1.0"
    return {
        "m-classes": Made(
            [s2[key] for key in ("02", "04", "05", "08A")], classes, "int16", size=8, coarse=True, placed=True
        ),
        "m-labels": Made(
            gb.make_rgb_bands(1), gb.MultiLabelClassification(4, ["road", "roof", "tree", "pool"]), "uint8", rgb=colours
        ),
        "m-maps": Made(gb.landsat8_9_bands[1:3], maps(2, ["background", "cattle"]), "float64", seg, dates=1),
        "m-eurosat": Made(
            list(gb.sentinel2_13_bands), classes, "int16", size=6, truth=EUROSAT, statistics=True, rgb=colours
        ),
        "m-brick-kiln": Made(list(gb.sentinel2_13_bands), gb.Classification(2), "int16", truth=BRICKS),
        "m-so2sat": Made(by_turns, gb.Classification(17), "float64", rgb=colours),
        "m-forestnet": Made(gb.landsat8_9_bands[1:7], gb.Classification(12), "uint8", rgb=colours),
        "m-bigearthnet": Made(
            twelve, gb.MultiLabelClassification(5, list("abcde")), "int16", size=6, coarse=True, rgb=colours
        ),
        "m-pv4ger": Made(gb.make_rgb_bands(1), gb.Classification(2, ["no solar pv", "solar pv"]), "uint8"),
        "m-pv4ger-seg": Made(gb.make_rgb_bands(1), maps(2, ["background", "panel"]), "uint8", seg),
        "m-nz-cattle": Made(gb.make_rgb_bands(1), maps(2, ["no cattle", "cattle"]), "uint8", seg, size=5),
        "m-cashew-plant": Made(clouded, maps(7, CASHEW), "int16", seg, dates=1, rgb=colours),
        "m-SA-crop-type": Made(clouded, maps(10), "int16", seg, dates=1),
        "m-chesapeake": Made([*gb.make_rgb_bands(1), gb.SpectralBand("NIR", ("nir",), 1, 0.84)], maps(7), "uint8", seg),
        "m-NeonTree": Made(
            neon, maps(2, ["none", "tree"]), "int16", seg, size=8, coarse=True, extra={"CHM": "float32"} | EIGHT_BIT
        ),
        "m-old": Made(ten[:3], classes, "int16", old=True),
        "m-semantic": Made(gb.make_rgb_bands(1), gb.label.SemanticSegmentation(3), "uint8", seg, pickled_map=True),
        "m-series": Made(ten[:2], classes, "int16", dates=2),
    }


def main() -> None:
    """All data sets in a folder of their own, what the library reads from them, and all of it in one archive."""
    import geobench

    root, read = geobench.GEO_BENCH_DIR, dict[str, np.ndarray]()
    for name, made in data_sets(geobench).items():
        folder = root / made.benchmark / name
        with old_modules(geobench) if made.old else contextlib.nullcontext():
            write(geobench, folder, made)
            found = {} if made.dates > 1 else expected(geobench, folder, made)
        read |= {f"{name}/{key}": value for key, value in found.items()}
    np.savez(root / "expected.npz", **read)
    with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            info = tarfile.TarInfo(path.relative_to(root).as_posix())
            info.size = path.stat().st_size
            archive.addfile(info, io.BytesIO(path.read_bytes()))


@contextlib.contextmanager
def old_modules(gb: Any) -> Iterator[None]:
    """The classes under the module paths that they had before the package was called geobench."""
    kept = {}
    for module in (gb.dataset, gb.label, gb.task):
        old = f"ccb.io.{module.__name__.split('.')[-1]}"
        sys.modules[old] = module
        for thing in vars(module).values():
            if isinstance(thing, type) and thing.__module__ == module.__name__:
                kept[thing] = thing.__module__
                thing.__module__ = old
    sys.modules["ccb"] = sys.modules["ccb.io"] = types.ModuleType("ccb")
    yield
    for thing, name in kept.items():
        thing.__module__ = name
    for name in [name for name in sys.modules if name.split(".")[0] == "ccb"]:
        del sys.modules[name]


def write(gb: Any, folder: Path, made: Made) -> None:
    """A data set of four samples; its partitions, statistics and specifications."""
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True)
    specs = gb.TaskSpecifications(
        dataset_name=folder.name,
        benchmark_name=made.benchmark,
        bands_info=made.bands,
        spatial_resolution=10,
        patch_size=(made.size, made.size),
        n_time_steps=max(1, made.dates),
        label_type=made.label,
    )
    if made.old:
        specs.eval_loss, specs.bands_stats = gb.label.Detection(), {"02 - Blue": {"mean": np.float64(3.5)}}
    specs.save(folder, overwrite=True)
    partition, labels = gb.Partition(), {}
    for number, split in enumerate(SPLITS):
        label = label_of(gb, made, rng, number)
        bands = pixels(gb, made, rng)
        gb.Sample(bands, label=label, sample_name=f"id_{number}").write(folder)
        partition.add(split, f"id_{number}")
        labels.setdefault(str(number % 3), []).append(f"id_{number}")
    partition.save(folder, "default")
    first = {**partition.partition_dict, "train": partition.partition_dict["train"][:1]}
    for name in PARTITIONS:
        gb.Partition(partition.partition_dict if name == "1.00x" else first).save(folder, f"{name}_train")
    if made.statistics:
        _, found = gb.compute_dataset_statistics(gb.GeobenchDataset(folder), n_value_per_image=None)
        (folder / "band_stats.json").write_text(json.dumps({name: stats.to_dict() for name, stats in found.items()}))
    if isinstance(made.label, gb.Classification) and not made.pickled_map:
        (folder / "label_map.json").write_text(json.dumps(labels))


def pixels(gb: Any, made: Made, rng: np.random.Generator) -> list[Any]:
    """The bands of a sample: coarser ones, a place on the ground, dates, and the means of what they really are."""
    import rasterio

    shade = rng.normal(0, 1, (made.size, made.size))
    placed = {
        "transform": rasterio.transform.from_origin(500_000, 4_649_776, 10, 10),
        "crs": rasterio.crs.CRS.from_epsg(32632),
        "meta_info": {"cloud": np.float32(0.25), "tile": "T32TQM"},
    }
    found = []
    for date in DAYS[: made.dates] or (None,):
        for place, info in enumerate(made.bands):
            planes = getattr(info, "n_bands", None)
            finest = made.bands[0].spatial_resolution
            step = {20: 2, 60: 6, 1: 4 if finest < 1 else 1}.get(info.spatial_resolution, 1) if made.coarse else 1
            kind = made.extra.get(info.name, made.kind)
            if made.truth:
                values = MEANS[made.truth[place]] * (1 + 0.2 * shade + rng.normal(0, 0.05, shade.shape))
            else:
                values = rng.integers(0, 250, (*shade.shape, planes) if planes else shade.shape) * 1.0
                values *= {"int16": 10, "float64": 0.004, "float32": 0.1}.get(kind, 1)
            found.append(
                gb.Band(
                    values[::step, ::step].astype(kind),
                    info,
                    info.spatial_resolution,
                    date=date,
                    **(placed if made.placed else {"transform": None, "crs": None}),
                )
            )
    return found


def label_of(gb: Any, made: Made, rng: np.random.Generator, number: int) -> Any:
    """A class, zeros and ones, a band of classes, or an array of them; class 0 of maps of seven is never seen."""
    count = made.label.n_classes
    if made.pickled_map:
        return rng.integers(0, count, (made.size, made.size))
    if isinstance(made.label, gb.MultiLabelClassification):
        return np.array([number % 2, 1 - number % 2, 1, 0, 1][:count])
    if isinstance(made.label, gb.Classification):
        return (number * 5) % count
    classes = rng.integers(1 if count == 7 else 0, count, (made.size, made.size)).astype("uint8")
    return gb.Band(classes, made.label, 30, transform=None, crs=None)


def names_of(label: Any) -> list[str] | None:
    """The names of the classes, which the library's label types keep under three names."""
    found = [getattr(label, name, None) for name in ("_class_names", "class_names", "class_name")]
    return next((list(names) for names in found if names), None)


def expected(gb: Any, folder: Path, made: Made) -> dict[str, np.ndarray]:
    """What the library reads: images [N, C, H, W], labels, and red, green, blue by name, in the order of the splits."""
    names = [band.name for band in gb.load_task_specs(folder).bands_info]
    images, labels, colours = [], [], []
    for split in dict.fromkeys(SPLITS):
        for row in range(len(data_set := gb.GeobenchDataset(folder, split=split, band_names=names))):
            sample = data_set[row]
            images.append(np.moveaxis(sample.pack_to_3d(names, resample=True)[0], 2, 0))
            labels.append(sample.label.data if hasattr(sample.label, "band_info") else sample.label)
            if made.rgb:
                colours.append(np.moveaxis(sample.pack_to_3d(list(made.rgb), resample=True)[0], 2, 0))
    found = {"images": np.stack(images), "labels": np.array(labels), "bands": np.array(names)}
    classes = names_of(gb.load_task_specs(folder).label_type)
    found |= {"classes": np.array(classes)} if classes else {}
    if made.rgb:
        found["rgb"] = np.stack(colours)
    if made.statistics:
        mean, std = gb.GeobenchDataset(folder, band_names=names).normalization_stats()
        found |= {"mean": np.array(mean), "std": np.array(std)}
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as elsewhere:
        os.environ["MPLCONFIGDIR"] = f"{elsewhere}/mpl"
        os.environ["GEO_BENCH_DIR"] = f"{elsewhere}/data"
        main()
