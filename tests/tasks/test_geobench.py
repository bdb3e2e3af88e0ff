"""The tasks of GEO-Bench by name, and any folder in its format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deo_bench.bands import BAND_SETS
from deo_bench.data import Places
from deo_bench.data.geobench_writer import write_dataset
from deo_bench.errors import MissingInput, UserError
from deo_bench.registry import Registry

NAMES = ("m-eurosat", "m-forestnet", "m-so2sat", "m-pv4ger", "m-brick-kiln", "m-bigearthnet")
MAPS = ("m-pv4ger-seg", "m-chesapeake", "m-cashew-plant", "m-SA-crop-type", "m-nz-cattle", "m-NeonTree")


def written(root: Path, name: str) -> Places:
    ids, pixels = list("abc"), np.random.default_rng(0).integers(1, 99, (3, 13, 4, 4)).astype("int16")
    write_dataset(
        root / "classification_v1.0" / name,
        dataset_name=name,
        benchmark_name="classification_v1.0",
        bands=BAND_SETS["s2_13"],
        label_type="single",
        class_names=("x", "y"),
        samples=((key, pixels[row], row % 2) for row, key in enumerate(ids)),
        partition={"train": ["a"], "valid": ["b"], "test": ["c"]},
    )
    return Places(root, root / "cache")


def test_the_twelve_sets_are_tasks_by_name(tmp_path: Path) -> None:
    tasks, nowhere = Registry().all("task"), Places(None, tmp_path)
    for name in (*NAMES, *MAPS):
        facts = tasks[name].facts
        assert tasks[name].summary and facts["data_sets"] and len(facts["splits"]) == 3
        kind = Registry().build("task", name).label_kind(nowhere)
        assert kind == facts["labels"] and (kind == "segmentation") == (name in MAPS)


def test_a_partition_without_a_class_moves_no_class(tmp_path: Path) -> None:
    """Drawn without regard to classes: one training image, of the last class."""
    ids, pixels = list("abcdef"), np.random.default_rng(0).integers(1, 99, (6, 13, 4, 4)).astype("int16")
    for name, kind in (("m-eurosat", "single"), ("m-cashew-plant", "segmentation")):
        labels = np.array([0, 1, 2, 0, 1, 2]) if kind == "single" else np.arange(96).reshape(6, 4, 4) // 32
        write_dataset(
            tmp_path / "own" / name,
            dataset_name=name,
            benchmark_name="own",
            bands=BAND_SETS["s2_13"],
            label_type=kind,  # type: ignore[arg-type]
            class_names=("x", "y", "z"),
            samples=zip(ids, pixels, labels, strict=True),
            partition={"train": list("abcf"), "valid": ["d"], "test": ["e"]},
            partitions={"0.01x_train": {"train": ["f"], "valid": ["d"], "test": ["e"]}},
        )
        pack = Registry().build("task", name).pack(Places(tmp_path, tmp_path / "cache"))
        few = pack.partitions["0.01x_train"]
        assert pack.labels is not None and np.unique(pack.labels[few]).tolist() == [2]
        assert pack.classes == ("x", "y", "z")


def test_a_named_task(tmp_path: Path) -> None:
    places = written(tmp_path, "m-eurosat")
    task = Registry().build("task", "m-eurosat")
    pack = task.pack(places)
    assert task.name == "m-eurosat" and task.data_sets == ("eurosat",)
    assert pack.bands == BAND_SETS["s2_13"] and pack.unit == "dn" and task.fingerprint(places) == pack.content
    corrected = Registry().build("task", "m-eurosat", options={"band_labels": "corrected"}).pack(places)
    assert corrected.bands[-1] == "B8A" and corrected.content != pack.content


def test_any_folder(tmp_path: Path) -> None:
    places = written(tmp_path, "m-own")
    for name in ("m-own", "classification_v1.0/m-own"):
        task = Registry().build("task", "geobench", options={"name": name})
        assert task.name == "m-own" and len(task.pack(places)) == 3
    assert Registry().build("task", "geobench", options={"name": "m-own", "unit": "uint8"}).pack(places).unit == "uint8"


def test_what_is_missing_or_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="'m-so2sat'"):
        Registry().build("task", "m-so2sat").pack(Places(tmp_path, tmp_path))
    with pytest.raises(UserError, match="band_labels"):
        Registry().build("task", "m-so2sat", options={"band_labels": "wrong"})
    with pytest.raises(UserError, match="needs name"):
        Registry().build("task", "geobench")


def test_packing_loads_no_torch(tmp_path: Path) -> None:
    written(tmp_path, "m-eurosat")
    script = (
        "import sys; from pathlib import Path\n"
        "from deo_bench.data import Places; from deo_bench.registry import Registry\n"
        "import deo_bench.data.npz, deo_bench.data.tiff, deo_bench.tasks.npz\n"
        f"root = Path({str(tmp_path)!r})\n"
        "assert len(Registry().build('task', 'm-eurosat').pack(Places(root, root / 'cache'))) == 3\n"
        "assert not {'torch', 'geobench', 'rasterio'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
