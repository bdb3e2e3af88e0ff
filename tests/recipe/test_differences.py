"""In what two recipes differ: every place once, by the path that `--set` takes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from deo_bench.data import Places
from deo_bench.recipe import Identifier, locate, resolve, set_path
from deo_bench.recipe.differences import ABSENT, differences, written
from deo_bench.registry import Registry
from tests import tiny

REGISTRY = Registry()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    tiny.write_npz(tmp_path)
    return Places(tmp_path, tmp_path / "cache")


def contents(places: Places, **settings: Any) -> dict[str, Any]:
    """The contents of the tiny recipe with values at dotted paths (`__` for a dot)."""
    tables = locate(tiny.recipe(), Path.cwd())
    for path, value in settings.items():
        tables = set_path(tables, path.replace("__", "."), value)
    return Identifier(REGISTRY, places).contents(resolve(tables, REGISTRY))


def told(a: dict[str, Any], b: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one.path: (written(one.a), written(one.b)) for one in differences(a, b)}


def test_the_same_recipe_differs_in_nothing(places: Places) -> None:
    assert differences(contents(places), contents(places)) == []


def test_a_path_is_the_one_that_set_takes(places: Places) -> None:
    a = contents(places)
    changed = {"student__depth": 3, "objective__expand__eps": 0.1, "views__global__size": 8, "train__lr": 0.5}
    b = contents(places, **changed)
    found = told(a, b)
    assert found == {
        "student.depth": ("2", "3"),
        "objective.expand.eps": ("0.05", "0.1"),
        "views.global.size": ("16", "8"),
        "train.lr": ("0.001", "0.5"),
    }
    again = contents(places, **{path.replace(".", "__"): changed[path.replace(".", "__")] for path in found})
    assert differences(again, b) == [], "setting what is told makes one of the other"


def test_a_term_that_only_one_has_is_one_difference(places: Places) -> None:
    found = differences(contents(places), contents(places, objective__expand__weight=0))
    assert [one.path for one in found] == ["objective.expand"]
    assert found[0].a["loss"] == "coding_rate" and found[0].b is ABSENT
    assert (written(found[0].a), written(found[0].b)) == ("coding_rate toward spectral", "—")


def test_another_part_is_told_first_and_then_its_options(places: Places) -> None:
    sides = (contents(places), contents(places, objective__expand__loss="mse"))
    found = told(*(json.loads(json.dumps(side, sort_keys=True)) for side in sides))  # as recipe.json has them
    paths = [path for path in found if path.startswith("objective.expand")]
    assert paths[0] == "objective.expand.loss" and found[paths[0]] == ('"coding_rate"', '"mse"')
    assert found["objective.expand.eps"] == ("0.05", "—")


def test_versions_data_engine_and_weights_count_where_both_have_them(places: Places) -> None:
    a = contents(places)
    b = copy.deepcopy(a)
    b["parts"] |= {"loss compression": "7", "loss only_here": "1"}
    b |= {"engine": 99, "data": "other", "weights": {"spectral": None, "optical": "abc"}}
    assert told(a, b) == {
        "loss compression (version)": ('"1"', '"7"'),
        "data (fingerprint)": (f'"{a["data"]}"', '"other"'),
        "engine (version)": (str(a["engine"]), "99"),
    }
    a["weights"]["optical"] = "def"
    assert told(a, b)["teachers.optical (weights)"] == ('"def"', '"abc"')
    assert "data (fingerprint)" not in told(a, b | {"data": None}), "what is not known is no difference"


def test_none_is_a_value_and_nothing_is_not(places: Places) -> None:
    a = contents(places)
    b = copy.deepcopy(a)
    b["recipe"]["train"]["clip"] = None
    assert told(a, b) == {"train.clip": ("3.0", "none")}
    del b["recipe"]["train"]["clip"]
    assert told(a, b) == {"train.clip": ("3.0", "—")} and written([1, "a"]) == '[1, "a"]'
