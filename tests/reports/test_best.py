"""What the best of a sweep set: the table in every format, and TOML that says the same when it is read."""

from __future__ import annotations

import csv
import io
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deo_bench.recipe import set_path
from deo_bench.reports.best import toml
from deo_bench.reports.entries import Scope
from deo_bench.reports.grid import Grid
from deo_bench.reports.searched import Finalist, Searched
from deo_bench.reports.write import render
from tests.reports import studies
from tests.reports.conftest import FakeStore
from tests.reports.sections.test_sweeps import FOUND, reported, sections

EXACT: dict[str, Any] = {
    studies.WEIGHT.path: 0.45712345678901234, studies.LOSS.path: {"use": "cosine", "on": ["mid", "l\"a\nte"]},
    studies.BATCH.path: 48,
}  # fmt: skip


def searched(fresh: float = 0.7, **fields: Any) -> Searched:
    """Two rows: the default, 60 percent with fresh seeds, and trial 2."""
    made = studies.trials(6, has_pruning=False)
    shown = {**EXACT, studies.LOSS.path: "cosine (on=mid+late)"}
    made[2] = replace(made[2], values=(0.66,), settings=shown, written=EXACT)
    rows = (
        Finalist("default", None, (0.6,), ({0: 0.6},)),
        Finalist("trial 2", 2, (0.66,), ({0: fresh, 1: fresh},)),
    )
    return studies.study(6, made=made, finalists=rows, **fields)


def table(fake: FakeStore, scope: Scope, study: Searched) -> Grid:
    (grid,) = (one for one in sections(reported(fake, scope, study))[FOUND].grids if one.name == "settings")
    return grid


def test_the_table_says_what_each_row_set(fake: FakeStore, scope: Scope) -> None:
    grid = table(fake, scope, searched())
    assert grid.title == "Settings of the finalists"
    assert [heading.task for heading in grid.headings] == [axis.name for axis in studies.SPACE]
    rows = {line.label: [slot.text for slot in line.slots] for line in grid.lines}
    assert rows == {
        "default": ["1", "0.05", "32", "cosine", "–", "128"],
        "trial 2": ["0.4571", "–", "48", "cosine (on=mid+late)", "–", "–"],
    }
    assert "compress.weight: objective.compress.weight" in grid.caption and "Sampler TPE" in grid.caption
    assert any("not in force" in note for note in grid.footnotes)
    early = table(fake, scope, studies.study(6, has_finalists=False))
    assert early.title == "Settings of the best so far" and early.lines[0].label == "default"


def test_a_default_that_is_no_trial_has_no_settings_to_show(fake: FakeStore, scope: Scope) -> None:
    study = searched()
    others = tuple(replace(trial, is_default=False) for trial in study.trials)
    grid = table(fake, scope, replace(study, trials=others))
    assert {slot.text for slot in grid.lines[0].slots} == {"–"} and any("no trial" in note for note in grid.footnotes)


def test_the_best_ones_settings_are_written_to_be_pasted(fake: FakeStore, scope: Scope) -> None:
    files = render(reported(fake, scope, searched(), formats=("markdown", "html", "latex")))
    text = files["best.toml"].decode()
    expected: dict[str, Any] = {}
    for path, value in EXACT.items():
        expected = set_path(expected, path, value)
    assert tomllib.loads(text) == {"cells": [{"name": "trial 2", **expected}]}
    assert "objective.compress.weight = 0.45712345678901234" in text
    for words in ("# study loss-weights", "# trial 2, 66.0 at its seed", "trial 2 70.0, the recipe as it stands 60.0"):
        assert words in text, words
    assert "objective.compress.weight = 0.457" in files["index.html"].decode()
    assert f"```toml\n{text}```" in files["table.md"].decode()
    for name in ("index.html", "table.md", "table.tex"):
        assert "Settings of the finalists" in files[name].decode(), name
    records = list(csv.DictReader(io.StringIO(files["settings.csv"].decode())))
    assert [(one["row"], one["trial"]) for one in records] == [("default", "0"), ("trial 2", "2")]
    assert float(records[1][studies.WEIGHT.path]) == EXACT[studies.WEIGHT.path]


def test_what_a_cell_and_a_budget_set_is_written_too(fake: FakeStore, scope: Scope) -> None:
    study = searched()
    rows = (study.finalists[0], replace(study.finalists[1], row="a=1, trial 2", written={**EXACT, "train.steps": 7}))
    text = render(reported(fake, scope, replace(study, cell="a=1", finalists=rows)))["best.toml"].decode()
    (cell,) = tomllib.loads(text)["cells"]
    assert cell["name"] == "a=1, trial 2" and cell["train"] == {"batch": 48, "steps": 7}


def test_where_no_trial_beats_the_recipe_nothing_is_to_be_pasted(fake: FakeStore, scope: Scope) -> None:
    for fresh in (0.5, 0.6):
        text = render(reported(fake, scope, searched(fresh)))["best.toml"].decode()
        assert tomllib.loads(text) == {} and "no trial beats the recipe as it stands" in text


def test_every_cell_has_a_file_of_its_own(fake: FakeStore, scope: Scope) -> None:
    cells = [studies.study(14, cell=f"a={n}", seed=n) for n in range(2)]
    assert {"best-1.toml", "best-2.toml"} <= set(render(reported(fake, scope, *cells)))
    assert not any(
        name.startswith("best") for name in render(reported(fake, scope, studies.study(4, has_finalists=False)))
    )


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        ({"a.b": {"use": "x", "c": 1}, "a.b.d": 2}, {"a": {"b": {"use": "x", "c": 1, "d": 2}}}),
        ({"a.b": {"use": "x", "d": 1}, "a.b.d": 2}, {"a": {"b": {"use": "x", "d": 2}}}),
        ({"a": "timm", "a.b": 1e-05}, {"a": {"use": "timm", "b": 1e-05}}),
        ({"a.é b": [True, {}]}, {"a": {"é b": [True, {}]}}),
    ],
)
def test_a_table_below_which_another_path_lies_is_opened(settings: dict[str, Any], read: dict[str, Any]) -> None:
    assert tomllib.loads(toml(settings)) == read


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(VALUES)
def test_any_value_is_read_as_it_was(value: Any) -> None:
    assert tomllib.loads(toml({"a.b": value})) == {"a": {"b": value}}
