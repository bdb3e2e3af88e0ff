"""Tables from files: where paths start, how tables merge, what a dotted path does."""

from __future__ import annotations

from pathlib import Path

import pytest

from deo_bench.errors import UserError
from deo_bench.recipe import Located, locate, merge, parse_value, read_toml, set_path


def test_strings_remember_the_folder_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.toml").write_text('[teachers.optical]\nweights = "w.pt"\nlist = ["x"]\n')
    table = read_toml(tmp_path / "sub" / "a.toml")
    value = table["teachers"]["optical"]["weights"]
    assert isinstance(value, Located) and value == "w.pt"
    assert value.path == (tmp_path / "sub" / "w.pt").resolve()
    assert isinstance(table["teachers"]["optical"]["list"][0], Located)


@pytest.mark.parametrize(
    ("text", "told"), [("a = ", "not valid TOML"), ("a = 1\na = 2\n", "not valid TOML"), (None, "no such file")]
)
def test_what_cannot_be_read_is_one_line_with_the_file(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "x.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=told) as error:
        read_toml(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_table_that_names_another_part_replaces() -> None:
    below = {"data": {"use": "scenes", "count": 5}, "train": {"steps": 3, "batch": 4}}
    merged = merge(below, {"data": {"use": "npz", "paths": ["a"]}, "train": {"steps": 9}})
    assert merged == {"data": {"use": "npz", "paths": ["a"]}, "train": {"steps": 9, "batch": 4}}
    assert below["train"]["steps"] == 3


def test_a_dotted_path_sets_deep_and_goes_through_a_part_that_is_only_named() -> None:
    table = {"student": {"use": "vit_nano", "stem": "dual"}}
    assert set_path(table, "student.stem.norm", True)["student"]["stem"] == {"use": "dual", "norm": True}
    assert set_path(table, "train.steps", 3)["train"] == {"steps": 3}
    assert table == {"student": {"use": "vit_nano", "stem": "dual"}}


def test_naming_another_teacher_drops_the_options_of_the_former() -> None:
    table = {"teachers": {"optical": {"use": "a", "weights": "w"}}}
    assert set_path(table, "teachers.optical.use", "b")["teachers"]["optical"] == {"use": "b"}
    assert set_path(table, "teachers.optical.use", "a")["teachers"]["optical"] == {"use": "a", "weights": "w"}


@pytest.mark.parametrize("dotted", ["", ".", "a..b", "a."])
def test_what_is_no_path_is_refused(dotted: str) -> None:
    with pytest.raises(UserError, match="dotted path"):
        set_path({}, dotted, 1)


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("0.5", 0.5), ("[1, 2]", [1, 2]), ('"x"', "x"), ("none", "none")]
)
def test_override_values(text: str, value: object, tmp_path: Path) -> None:
    assert parse_value(text, tmp_path) == value


def test_locate_leaves_numbers(tmp_path: Path) -> None:
    assert locate({"a": [1, 2.0, True]}, tmp_path) == {"a": [1, 2.0, True]}


def test_another_loss_or_student_keeps_what_is_the_tables_own() -> None:
    table = {
        "student": {"use": "vit_nano", "width": 9, "bands": ["rgb"], "stem": "single"},
        "heads": {"views": {"use": "mlp", "width": 128, "hidden": 512}},
        "objective": {"pull": {"loss": "huber", "delta": 0.5, "toward": "optical", "on": ["late"], "weight": 0.3}},
    }
    assert set_path(table, "objective.pull.loss", "mse")["objective"]["pull"] == {
        "loss": "mse",
        "toward": "optical",
        "on": ["late"],
        "weight": 0.3,
    }
    assert set_path(table, "student.use", "vit_tiny")["student"] == {
        "use": "vit_tiny",
        "bands": ["rgb"],
        "stem": "single",
    }
    assert set_path(table, "heads.views.use", "other")["heads"]["views"] == {"use": "other", "width": 128}
    assert set_path(table, "objective.pull.loss", "huber")["objective"]["pull"]["delta"] == 0.5
