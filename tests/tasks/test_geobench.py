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


def test_the_six_classification_sets_are_tasks_by_name() -> None:
    tasks = Registry().all("task")
    assert set(NAMES) <= set(tasks)
    for name in NAMES:
        assert tasks[name].summary and tasks[name].facts["data_sets"] and len(tasks[name].facts["splits"]) == 3


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
