"""A task of one `.npz` file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deo_bench.bands import BAND_SETS
from deo_bench.data import Places
from deo_bench.errors import UserError
from deo_bench.registry import Registry


def saved(path: Path) -> Path:
    np.savez(
        path,
        images=np.arange(6 * 2 * 9, dtype=np.int16).reshape(6, 2, 3, 3),
        labels=np.array([0, 1, 0, 1, 0, 1]),
        split=np.array([0, 0, 1, 1, 2, 2]),
        bands=np.array(["B04", "B08"]),
        field=np.array([7, 7, 8, 8, 9, 9]),
    )
    return path


def test_a_task_of_a_file(tmp_path: Path) -> None:
    saved(tmp_path / "fields.npz")
    options = {"path": "fields.npz", "unit": "dn", "groups": "field"}
    task = Registry().build("task", "npz", options=options)
    pack = task.pack(Places(tmp_path, tmp_path / "cache"))
    assert task.name == pack.name == "fields" and task.data_sets == ("fields",)
    assert pack.groups is not None and pack.groups.tolist() == [0, 0, 1, 1, 2, 2]
    named = Registry().build("task", "npz", options={**options, "name": "crops"})
    again = named.pack(Places(tmp_path, tmp_path / "cache"))
    assert named.name == again.name == "crops" and again.content == pack.content


def test_a_missing_unit_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path / "fields.npz")
    task = Registry().build("task", "npz", options={"path": str(path)})
    with pytest.raises(UserError, match=r"fields.npz: no unit is given; say unit ="):
        task.pack(Places(None, tmp_path / "cache"))


def test_the_real_segmentation_set_is_a_task(real_data: Path, tmp_path: Path) -> None:
    options = {
        "path": "hls_worldcover_seg.npz",
        "name": "hls-worldcover",
        "unit": "dn",
        "groups": "tile",
        "ignore": 255,
    }
    places = Places(real_data, tmp_path / "cache")
    task = Registry().build("task", "npz", options=options)
    pack = task.pack(places)
    assert task.label_kind(places) == "segmentation" and pack.later is None
    assert pack.bands == task.bands(places) == BAND_SETS["hls_6"] and pack.images.shape == (705, 6, 64, 64)
    assert task.class_names(places) == ("tree", "shrub", "grass", "crop", "built", "bare", "water")
    assert pack.labels is not None and pack.groups is not None and pack.ignore == 255
    assert set(np.unique(pack.labels)) == {*range(7), 255} and 0.02 < (pack.labels == 255).mean() < 0.05
    assert {role: len(rows) for role, rows in pack.splits.items()} == {"fit": 365, "select": 108, "report": 232}
    of = {role: set(pack.groups[rows].tolist()) for role, rows in pack.splits.items()}
    assert [len(found) for found in of.values()] == [22, 10, 14] and len(set.union(*of.values())) == 46
