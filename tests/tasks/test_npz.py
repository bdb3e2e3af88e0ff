"""A task of one `.npz` file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
