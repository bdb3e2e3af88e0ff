"""A grid's cells: products, pairs, names, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from deo_bench.errors import UserError
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.grid import GridCell, cells_of
from tests.tiny import EXPERIMENT

BASE = EXPERIMENT[: EXPERIMENT.index("[grid]")]


@pytest.fixture
def cells(tmp_path: Path):  # type: ignore[no-untyped-def]
    def read(grid: str, *overrides: str) -> list[GridCell]:
        (tmp_path / "e.toml").write_text(BASE + grid)
        return cells_of(read_experiment(str(tmp_path / "e.toml"), overrides))

    return read


def test_a_grid_is_a_product_labelled_by_what_varies(cells) -> None:  # type: ignore[no-untyped-def]
    made = cells('[grid]\nteachers.spectral.use = ["ema", "none"]\nobjective.expand.weight = [0.5, 1.0]\n')
    assert [cell.label for cell in made] == [
        "spectral=ema, weight=0.5",
        "spectral=ema, weight=1.0",
        "spectral=none, weight=0.5",
        "spectral=none, weight=1.0",
    ]
    assert made[0].recipe.objective["expand"].weight == 0.5
    assert made[2].recipe == made[3].recipe and made[2].recipe.is_untrained


def test_an_ambiguous_tail_is_said_longer(cells) -> None:  # type: ignore[no-untyped-def]
    made = cells("[grid]\nobjective.expand.weight = [0.5]\nobjective.compress.weight = [2.0]\n")
    assert made[0].label == "expand.weight=0.5, compress.weight=2.0"


def test_zip_pairs_and_says_what_goes_together_once(cells) -> None:  # type: ignore[no-untyped-def]
    text = '[[zip]]\nobjective.compress.sees = ["rgb", "s2_10"]\nobjective.expand.sees = ["rgb", "s2_10"]\n'
    made = cells(text + "[grid]\ntrain.steps = [4, 6]\n")
    assert [cell.label for cell in made] == [
        "steps=4, sees=rgb", "steps=4, sees=s2_10", "steps=6, sees=rgb", "steps=6, sees=s2_10",
    ]  # fmt: skip
    assert {term.sees for term in made[0].recipe.objective.values()} == {"rgb"}


def test_named_cells_have_seeds_of_their_own(cells) -> None:  # type: ignore[no-untyped-def]
    made = cells('[[cells]]\nname = "a"\nseeds = [7, 8]\ntrain.steps = 3\n[[cells]]\nname = "b"\n')
    assert [(cell.label, cell.seeds, cell.recipe.train.steps) for cell in made] == [("a", (7, 8), 3), ("b", (0, 1), 6)]


def test_exclude_drops_what_matches(cells) -> None:  # type: ignore[no-untyped-def]
    grid = "[grid]\ntrain.steps = [4, 6]\nobjective.expand.weight = [0.5, 1.0]\n"
    made = cells(grid + "[[exclude]]\ntrain.steps = 4\nobjective.expand.weight = 1.0\n")
    assert len(made) == 3 and "steps=4, weight=1.0" not in [cell.label for cell in made]


def test_without_a_grid_the_recipe_is_the_cell(cells) -> None:  # type: ignore[no-untyped-def]
    assert [cell.label for cell in cells("", "train.steps=9")] == ["e"]
    assert cells("", "train.steps=9")[0].recipe.train.steps == 9


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ("[grid]\ntrain.steps = 5\n", "grid.train.steps: expected a list"),
        ("[grid]\ntrain.stepz = [5]\n", "did you mean 'steps'"),
        ('[grid]\nobjective.expand.los = ["mse"]\n', "has no option 'los', did you mean 'loss'?"),
        ("[grid]\nobjective.expand.wieght = [1.0]\n", "has no option 'wieght', did you mean 'weight'?"),
        ('[grid]\nteachers.spectral.use = ["emma"]\n', "did you mean 'ema'"),
        ("[[zip]]\ntrain.steps = [5]\ntrain.batch = [4, 8]\n", "lists of one length"),
        ('[[cells]]\nname = "a"\n[[cells]]\nname = "a"\n', "two cells are called 'a'"),
        ("[[cells]]\ntrain.steps = 4\n", "cells.0.name"),
        (
            '[grid]\nteachers.optical.use = ["tiny_optical"]\n[[exclude]]\nteachers.optical.use = "tiny_optcal"\n',
            "exclude: teachers.optical.use: the grid has no value 'tiny_optcal', did you mean 'tiny_optical'?",
        ),
        (
            '[grid]\ntrain.lr = [0.1, 0.2]\n[[exclude]]\n"train.lr" = 3\n',
            "exclude: train.lr: the grid has no value 3; there are: 0.1, 0.2",
        ),
        (
            "[[zip]]\ntrain.steps = [4, 6]\ntrain.batch = [8, 16]\n[[exclude]]\ntrain.steps = 4\ntrain.batch = 16\n",
            "exclude: no cell has train.steps=4 with train.batch=16",
        ),
        ("[grid]\ntrain.steps = [4]\n[[exclude]]\ntrain.steps = 4\n", "no cells left"),
    ],
)
def test_a_wrong_grid_is_one_line(cells, grid: str, told: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError) as error:
        cells(grid)
    assert told in str(error.value) and "\n" not in str(error.value) and "e.toml" in str(error.value)
