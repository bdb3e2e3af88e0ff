"""Valid experiments changed at random: whatever comes of it plans, or is one line and status 2; never a traceback."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.wrong.typed import PLAN, TINY, begun, typed

REPORT = {"experiment": "tiny.toml", "title": "T", "baseline": "untrained", "probes": ["knn5_l2"], "sort": "tiny"}
MORE = """
[[zip]]
train.lr = [1e-3, 1e-2]
train.warmup = [0.1, 0.2]
[[cells]]
name = "own"
seeds = [0, 1]
student.depth = 1
[[exclude]]
objective.expand.weight = 0.0
train.lr = 1e-2
[objective.maps]
loss = "cosine"
toward = "spectral"
on = ["mid", "late"]
sees = "rgb"
target = "none"
weight = { start = 0.0, end = 1.0, shape = "linear" }
head = { use = "linear" }
"""
WHOLE = tomllib.loads(TINY + MORE)
FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

Way = tuple[str | int, ...]


def ways(value: Any, way: Way = ()) -> Iterator[Way]:
    """Every place in nested tables and lists, the leaves included."""
    if way:
        yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from ways(item, (*way, key))


def at(value: Any, way: Way) -> Any:
    """What is at a place."""
    for key in way:
        value = value[key]
    return value


leaves = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**25]),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e-320, 1e308, 0.5, -1.5]),
    st.booleans(),
    st.sampled_from(
        ["", "none", "student", "ema", "late", "block_99", "../x", "a b", "x" * 300, "é\u202e", "\x00\x1b[2J\n"]
    ),
    st.text(max_size=5),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def changed(draw: st.DrawFn, whole: dict[str, Any]) -> dict[str, Any]:
    """The tables with one to three of their places dropped, replaced, renamed, doubled or added to."""
    table = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        places = list(ways(table))
        if not places:
            break
        way = draw(st.sampled_from(places))
        parent, key = at(table, way[:-1]), way[-1]
        kind = draw(st.sampled_from(["drop", "replace", "rename", "double", "add", "text"]))
        if kind == "drop":
            del parent[key]
        elif kind == "rename" and isinstance(parent, dict):
            parent[draw(st.text(max_size=6)) or str(key)[:-1]] = parent.pop(key)
        elif kind == "double" and isinstance(parent[key], list):
            parent[key] = parent[key] * 2
        elif kind == "add" and isinstance(parent[key], dict):
            parent[key][draw(st.text(max_size=6))] = draw(values)
        elif kind == "text":
            parent[key] = str(parent[key])
        else:
            parent[key] = draw(values)
    return table


def written(value: Any) -> str:
    """A value as TOML: tables inline, so that anything can stand anywhere."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)


def document(table: dict[str, Any]) -> bytes:
    """The tables as a TOML document."""
    return "".join(f"{json.dumps(key)} = {written(value)}\n" for key, value in table.items()).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Path]:
    """One working folder for all changes: hypothesis tries many in one test."""
    folder = tmp_path_factory.mktemp("changed")
    (folder / "data").symlink_to(images)
    with contextlib.chdir(folder):
        yield folder


def holds(*words: str) -> int:
    """Type the command; its status is 0, or 2 with one line, and no run was begun. An exception comes through."""
    status, out, err = typed(*words)
    assert status in (0, 2), out + err
    if status == 2:
        assert err.startswith("error: ") and err.count("\n") == 1 and err.isprintable() is False, err
        assert err.rstrip("\n").isprintable(), err
    assert not begun(Path("runs"))
    return status


def test_unchanged_it_plans(here: Path) -> None:
    (here / "tiny.toml").write_bytes(document(WHOLE))
    assert holds(*PLAN) == 0


@FEW
@given(table=changed(WHOLE))
def test_a_changed_experiment(here: Path, table: dict[str, Any]) -> None:
    (here / "tiny.toml").write_bytes(document(table))
    holds(*PLAN)


@FEW
@given(table=changed({key: value for key, value in WHOLE.items() if isinstance(value, dict) and key != "grid"}))
def test_a_changed_recipe(here: Path, table: dict[str, Any]) -> None:
    (here / "recipe.toml").write_bytes(document(table))
    (here / "tiny.toml").write_text('recipe = "recipe.toml"\nseeds = [0]\nbaselines = ["untrained"]\n')
    holds(*PLAN)


@FEW
@given(key=st.sampled_from([".".join(map(str, way)) for way in ways(WHOLE)]) | st.text(max_size=8), value=values)
def test_an_override_of_anything(here: Path, key: str, value: Any) -> None:
    (here / "tiny.toml").write_text(TINY)
    holds(*PLAN, "--set", f"{key}={written(value)}")


@FEW
@given(table=changed(REPORT))
def test_a_changed_report(here: Path, table: dict[str, Any]) -> None:
    (here / "tiny.toml").write_text(TINY)
    (here / "answer.toml").write_bytes(document(table))
    holds("plan", "tiny.toml", "--data", "data", "--set", 'report="answer.toml"')


@FEW
@given(place=st.integers(0, len(TINY)), length=st.integers(0, 3), put=st.binary(max_size=4))
@example(place=0, length=0, put=b"\xef\xbb\xbf")
def test_changed_bytes(here: Path, place: int, length: int, put: bytes) -> None:
    raw = TINY.encode()
    (here / "tiny.toml").write_bytes(raw[:place] + put + raw[place + length :])
    holds(*PLAN)


@FEW
@given(
    words=st.lists(
        st.sampled_from(["--set", "--seeds", "--store", "--data", "-", "--", "--no", "tiny.toml", ""])
        | st.text(max_size=5),
        max_size=4,
    )
)
def test_any_arguments(here: Path, words: list[str]) -> None:
    (here / "tiny.toml").write_text(TINY)
    if not {"--help"} & set(words):
        status, out, err = typed("plan", *words)
        assert status in (0, 2) and (status == 0 or err.count("\n") == 1), out + err
    os.chdir(here)
