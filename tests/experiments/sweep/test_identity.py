"""Which changes of a file make another study, and which go on with the one there is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from deo_bench.errors import UserError
from deo_bench.experiments.sweep.final import final_plan, told_search
from tests.sweeping import SWEEP, Place


def names(folder: Path, text: str = SWEEP) -> list[str]:
    return [tuned.study for tuned in Place(folder, text).sweep().cells]


def swept(old: str, new: str) -> str:
    assert old in SWEEP
    return SWEEP.replace(old, new)


def test_a_study_is_called_by_its_experiment_and_what_it_is(tmp_path: Path) -> None:
    (name,) = names(tmp_path)
    assert re.fullmatch(r"tiny [0-9a-f]{8}", name)
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(
    "change",
    [
        ("trials = 4", "trials = 9"),
        ("best = 1", "best = 2"),
        ("best = 1", 'best = 1\nstorage = "sqlite:///a.db"'),
        ("seeds = [0]", "seeds = [3, 4]"),
        ("best = 1", "best = 1\nmeasure = { every = 0.5 }"),
        ('["majority"]', '["majority", "image_stats"]'),
        ("low = 0.1, high = 3.0, log = true", "log = true, high = 3, low = 0.1"),
    ],
)
def test_what_changes_no_trial_goes_on_with_the_study(tmp_path: Path, change: tuple[str, str]) -> None:
    assert names(tmp_path, swept(*change)) == names(tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('name = "score"', ""),
        ('cost = "parameters"\nname = "size"', 'cost = "parameters"'),
    ],
)
def test_what_figures_call_an_objective_is_no_part_of_a_study(tmp_path: Path, one: str, other: str) -> None:
    found = [names(tmp_path, f"{SWEEP}\n[[sweep.objectives]]\n{text}\n") for text in (one, other)]
    assert found[0] == found[1]
    sizes = names(tmp_path, f'{SWEEP}\n[[sweep.objectives]]\ncost = "train_pflops"\nname = "size"\n')
    assert sizes != found[0], "which cost it is says the usual name alone"


@pytest.mark.parametrize(
    ("key", "plain", "written"),
    [
        ("sampler", '"tpe"', '{ use = "tpe" }'),
        ("sampler", '"tpe"', '{ use = "tpe", n_startup_trials = 10, n_ei_candidates = 24, constant_liar = true }'),
        ("sampler", '"tpe"', '{ use = "tpe", multivariate = true, group = false }'),
        ("sampler", '{ use = "tpe", group = true }', '{ use = "tpe", group = true, multivariate = true }'),
        ("sampler", '"cmaes"', '{ use = "cmaes", n_startup_trials = 1, with_margin = false }'),
        ("sampler", '"gauss"', '{ use = "gauss", n_startup_trials = 10, deterministic_objective = false }'),
        ("sampler", '"qmc"', '{ use = "qmc", qmc_type = "sobol", scramble = true }'),
        ("pruner", '"median"', '{ use = "median", n_startup_trials = 5, n_warmup_steps = 0, n_min_trials = 1 }'),
        ("pruner", '"hyperband"', '{ use = "hyperband", min_resource = 10, reduction_factor = 3 }'),
        ("pruner", '{ use = "hyperband", min_resource = 5 }', '{ min_resource = 5, use = "hyperband" }'),
    ],
)
def test_an_option_written_out_as_it_is_anyway_is_no_other(tmp_path: Path, key: str, plain: str, written: str) -> None:
    line = 'sampler = { use = "tpe", n_startup_trials = 2 }'
    texts = [swept(line, f"{key} = {value}") for value in (plain, written)]
    assert names(tmp_path, texts[0]) == names(tmp_path, texts[1])


def test_of_several_objectives_optuna_takes_each_parameter_by_itself(tmp_path: Path) -> None:
    several = SWEEP + '\n[[sweep.objectives]]\n[[sweep.objectives]]\ncost = "parameters"\n'
    plain, joint, single = (
        names(tmp_path, several.replace("n_startup_trials = 2", f"n_startup_trials = 2{more}"))
        for more in ("", ", multivariate = true", ", multivariate = false")
    )
    assert plain == single != joint


CHANGES = [
    ("high = 3.0", "high = 2.0"),
    ("lr = 1e-3", "lr = 2e-3"),
    ("n_startup_trials = 2", "n_startup_trials = 3"),
    ("n_startup_trials = 2", "n_startup_trials = 2, multivariate = false"),
    ("n_startup_trials = 2", "n_startup_trials = 2, constant_liar = false"),
    ("best = 1", "best = 1\nseed = 1"),
    ("best = 1", "best = 1\ntrial_seed = 7"),
    ("best = 1", 'best = 1\npruner = "median"'),
    ("best = 1", 'best = 1\npruner = "median"\nmeasure = { every = 0.5 }'),
    ("best = 1", "best = 1\nbudget = { steps = 5 }"),
    ("best = 1", 'best = 1\nobjectives = [{ probe = "linear" }]'),
    ("num_c = 2", "num_c = 3"),
]


def test_what_changes_what_trials_are_or_are_judged_by_is_another_study(tmp_path: Path) -> None:
    texts = [swept(*change) for change in CHANGES]
    texts[-1] = texts[-1].replace("best = 1", 'best = 1\nobjectives = [{ probe = "linear" }]')
    found = [names(tmp_path)[0], *(names(tmp_path, text)[0] for text in texts)]
    place = Place(tmp_path)
    with np.load(place.data / "tiny.npz") as data:
        arrays = dict(data)
    arrays["labels"] = arrays["labels"][::-1].copy()
    np.savez(place.data / "tiny.npz", **arrays)
    found.append(names(tmp_path)[0])
    assert len(set(found)) == len(found)


def test_each_cell_of_a_grid_has_a_study_and_a_row_as_it_stands(tmp_path: Path) -> None:
    text = SWEEP + "\n[grid]\nteachers.spectral.start = [0.5, 0.9]\n"
    place = Place(tmp_path, text)
    made = place.sweep()
    assert [tuned.study[:-9] for tuned in made.cells] == ["tiny start=0.5", "tiny start=0.9"]
    assert len({tuned.study for tuned in made.cells}) == 2
    plan = final_plan(made, made.studies_there())
    assert [row.label for row in plan.rows][:2] == ["start=0.5, default", "start=0.9, default"]
    assert [row.settings for row in plan.rows][:2] == [
        (("teachers.spectral.start", 0.5),),
        (("teachers.spectral.start", 0.9),),
    ]
    assert not (place.store / "sweeps").exists()


def test_the_budget_is_the_same_for_every_trial_and_for_the_recipe_as_it_stands(tmp_path: Path) -> None:
    text = swept("best = 1", "best = 1\nbudget = { images = 80 }") + "train.batch = [8, 16]\n"
    place = Place(tmp_path, text)
    made = place.sweep()
    (tuned,) = made.cells
    assert tuned.recipe.train.steps == 10
    assert [one.written for study in place.searched() for one in study.finalists] == [{"train.steps": 10}]
    assert made.recipe(tuned, {"train.batch": 16}).train.steps == 5
    assert [run.recipe.train.steps for run in made.base.runs.values()] == [10]
    assert "every trial 80 images" in told_search(made.sweep)


def test_trials_share_no_seed_with_those_that_judge_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sweep.trial_seed: 5 is one of the experiment's seeds \(0, 5\)"):
        Place(tmp_path, swept("best = 1", "best = 1\ntrial_seed = 5").replace("seeds = [0]", "seeds = [5, 0]")).sweep()
