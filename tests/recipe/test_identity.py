"""Who a run is: what changes its name, and what does not."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from deo_bench.data import Places
from deo_bench.recipe import Identifier, locate, resolve
from deo_bench.registry import Registry
from tests.tiny import recipe, write_npz


@pytest.fixture
def identifier(tmp_path: Path) -> Identifier:
    write_npz(tmp_path / "data")
    return Identifier(Registry(), Places(tmp_path / "data", tmp_path / "cache"))


def name(identifier: Identifier, tables: dict[str, Any]) -> str:
    return identifier.name(resolve(tables, identifier.registry), 0)


def test_a_name_is_twelve_hex_and_the_seed(identifier: Identifier) -> None:
    made = name(identifier, recipe())
    digits, seed = made.split("-s")
    assert len(digits) == 12 and int(digits, 16) >= 0 and seed == "0"


def test_numbers_that_are_equal_are_one_recipe(identifier: Identifier) -> None:
    other = recipe()
    other["objective"]["expand"]["weight"] = 1
    other["train"]["lr"] = 0.001
    assert name(identifier, recipe()) == name(identifier, other)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("train", "steps"), 7),
        (("train", "precision"), "bf16-mixed"),
        (("objective", "expand", "eps"), 0.1),
        (("views", "flip"), 0.0),
        (("student", "depth"), 1),
        (("teachers", "spectral", "start"), 0.5),
        (("heads", "views", "hidden"), 8),
    ],
)
def test_what_can_change_the_weights_changes_the_name(
    identifier: Identifier, path: tuple[str, ...], value: Any
) -> None:
    other = copy.deepcopy(recipe())
    here = other
    for key in path[:-1]:
        here = here.setdefault(key, {})
    here[path[-1]] = value
    assert name(identifier, recipe()) != name(identifier, other)


def test_the_same_data_at_another_path_are_the_same_run_and_other_data_are_not(
    tmp_path: Path, identifier: Identifier
) -> None:
    (tmp_path / "moved").mkdir()
    shutil.copy(tmp_path / "data" / "tiny.npz", tmp_path / "moved" / "renamed.npz")
    moved = Identifier(identifier.registry, Places(tmp_path / "moved", tmp_path / "cache"))
    tables = recipe(data={"use": "npz", "paths": ["renamed.npz"], "unit": "dn"})
    assert name(identifier, recipe()) == name(moved, tables)
    write_npz(tmp_path / "other", seed=1)
    other = Identifier(identifier.registry, Places(tmp_path / "other", tmp_path / "cache"))
    assert name(identifier, recipe()) != name(other, recipe())


def test_a_users_own_part_is_identified_by_its_content(tmp_path: Path, identifier: Identifier) -> None:
    text = (Path(__file__).parents[2] / "losses" / "examples" / "huber.py").read_text()
    names = []
    for change in ("", "\n# another thought\n"):
        own = tmp_path / "huber.py"
        own.write_text(text + change)
        mine = Identifier(Registry([own]), identifier.places)
        tables = recipe()
        tables["objective"]["pull"] = {"loss": "huber", "toward": "spectral", "head": "views"}
        names.append(name(mine, tables))
    assert names[0] != names[1]


def test_a_file_among_the_options_counts_as_its_content(tmp_path: Path, identifier: Identifier) -> None:
    tables = recipe()
    tables["teachers"]["optical"] = {"use": "dinov2_vitb14"}
    option = next(
        key for key, option in identifier.registry.get("teacher", "dinov2_vitb14").options.items() if option.is_path
    )
    tables["objective"]["pull"] = {"loss": "cosine", "toward": "optical", "sees": "rgb"}
    names = []
    for place, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "w.pt").write_bytes(content)
        tables["teachers"]["optical"][option] = locate("w.pt", tmp_path / place)
        names.append(name(Identifier(identifier.registry, identifier.places), tables))
    assert names[0] == names[1] != names[2]


def test_a_teacher_that_is_a_recipe_is_the_run_of_that_recipe_wherever_the_file_stands(
    tmp_path: Path, identifier: Identifier
) -> None:
    text = (
        '[data]\nuse = "npz"\npaths = ["tiny.npz"]\nunit = "dn"\n[student]\nuse = "vit_nano"\nbands = ["rgb"]\n'
        '[teachers.t]\nuse = "descriptors"\n[objective.o]\nloss = "mse"\ntoward = "t"\n[train]\nsteps = STEPS\n'
    )
    names = []
    for place, steps in (("a", "3"), ("b", "3"), ("c", "4")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "own.toml").write_text(text.replace("STEPS", steps))
        tables = recipe()
        tables["teachers"]["optical"] = locate({"use": "run", "recipe": "own.toml", "seed": 3}, tmp_path / place)
        tables["objective"]["pull"] = {"loss": "cosine", "toward": "optical", "sees": "rgb"}
        mine = Identifier(identifier.registry, identifier.places)
        table = resolve(tables, mine.registry).teachers["optical"]
        needed = mine.prerequisite(table)
        assert needed is not None and needed.seed == 3 and mine.teacher(table) == mine.run_of(needed)
        names.append(name(mine, tables))
    assert names[0] == names[1] != names[2]
