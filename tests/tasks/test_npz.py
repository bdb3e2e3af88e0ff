"""A task of one `.npz` file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deo_bench import scores
from deo_bench.bands import BAND_SETS
from deo_bench.cli.app import app
from deo_bench.data import Places
from deo_bench.errors import UserError
from deo_bench.experiments.file import named_task
from deo_bench.experiments.single import plan_of_one
from deo_bench.registry import Registry
from tests.tiny import write_npz


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


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ({"use": "npz", "path": "of/fields.npz"}, "fields"),
        ({"use": "npz", "path": "of/fields.npz", "name": "crops"}, "crops"),
        ({"use": "npz", "path": "_my fields (2).npz"}, "my_fields__2_"),
        ({"use": "npz", "path": "(.npz"}, "npz"),
        ({"use": "folder", "path": "of/fields"}, "folder"),
        ({"use": "geobench", "name": "own/m-fields"}, "m-fields"),
    ],
)
def test_a_file_names_its_task(table: dict[str, str], name: str) -> None:
    assert named_task(table, Registry(), "--task").name == name


def test_two_files_are_two_tasks(tmp_path: Path) -> None:
    tasks = [{"use": "npz", "path": str(write_npz(tmp_path, name)), "unit": "dn"} for name in ("a.npz", "b.npz")]
    plan = plan_of_one("image_stats", tasks, ["scenes-v1"], tmp_path / "runs")
    assert {request.stem.split(".")[0] for request in plan.requests} == {"a", "b"} == set(plan.classes)
    with pytest.raises(UserError, match=r"--task \(a task's `name` tells two apart\): 'a' is there twice"):
        plan_of_one("image_stats", [tasks[0], {**tasks[1], "name": "a"}], ["scenes-v1"], tmp_path / "runs")


def test_floats_are_numbers_to_be_predicted(tmp_path: Path) -> None:
    """Scored by the command: the mean of one's band is the number, so ridge finds it."""
    draws = np.random.default_rng(0)
    images = draws.normal(1500, 20, (48, 3, 8, 8)) + draws.normal(0, 300, (48, 3, 1, 1))
    np.savez(
        tmp_path / "height.npz",
        images=images.astype(np.uint16),
        labels=images[:, 0].mean((1, 2)) / 100,
        split=np.arange(48) % 3,
        bands=np.array(BAND_SETS["rgb"]),
        unit="dn",
    )
    task = '{use="npz", path="height.npz"}'
    words = ["score", "image_stats", "--task", task, "--protocol", "regression-v1", "--store", str(tmp_path / "runs")]
    answer = CliRunner().invoke(app, [*words, "--data", str(tmp_path), "--device", "cpu"])
    assert answer.exit_code == 0, answer.output
    found = scores(tmp_path / "runs").set_index("probe")
    assert set(found.metric) == {"rmse"} and found.value["ridge"] < 0.1 < found.value["knn5_l2"]


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
