"""Every sweep that ships: parts take all that it may try, and trials at its corners are runs that can be planned."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from deo_bench.experiments.file import Experiment, read_experiment
from deo_bench.experiments.grid import cells_of
from deo_bench.experiments.plan import make_plan
from deo_bench.experiments.sweep.pruners import pruner_of
from deo_bench.experiments.sweep.samplers import sampler_of
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.experiments.sweep.space import space_of
from deo_bench.experiments.sweep.space_checks import check_space
from deo_bench.recipe import canonical, resolve, set_path
from deo_bench.reports.best import PASTE, as_cell
from tests.experiments.corners import Corner, corners_of
from tests.experiments.test_presets import EXPERIMENTS, SWEEPS, name

TINY = [path for path in SWEEPS if path.stem.endswith("-tiny")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def sweep_of(experiment: Experiment) -> Sweep:
    assert experiment.settings.sweep is not None
    return experiment.settings.sweep


def test_deos_weights_and_every_other_systems_knob_are_searched() -> None:
    systems = {path.stem.removesuffix("-tiny") for path in (EXPERIMENTS / "systems").glob("*.toml")}
    systems = {system for system in systems if not system.endswith("-sweep")}
    asked = {"deo/loss-weights"} | {f"systems/{system}-sweep" for system in systems - {"deo"}}
    assert len(asked) == 13
    found = {path.relative_to(EXPERIMENTS).with_suffix("").as_posix() for path in SWEEPS}
    assert found == asked | {f"{each}-tiny" for each in asked}


@pytest.mark.parametrize("path", SWEEPS, ids=name)
def test_the_parts_take_all_of_its_space_and_the_recipe_lies_in_it(path: Path) -> None:
    experiment = read_experiment(str(path))
    sweep, cells, space = sweep_of(experiment), cells_of(experiment), space_of(experiment)
    check_space(space, sweep, experiment, cells)
    for cell in cells:
        params = space.params_of(cell.recipe)
        assert params is not None and space.is_whole(params), "the first trial is to be the recipe as it stands"
    assert sampler_of(sweep, space, 0) is not None and pruner_of(sweep) is not None


def cut(text: str) -> str:
    """A file of an experiment without its tables of a sweep."""
    tables = re.split(r"(?m)^(?=\[)", text)
    return "".join(table for table in tables if not re.match(r"\[+\s*sweep\b", table))


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All experiments in a folder that may be written to."""
    return Path(shutil.copytree(EXPERIMENTS, tmp_path_factory.mktemp("copied") / "experiments"))


@pytest.mark.parametrize("path", SWEEPS, ids=name)
def test_its_best_trial_put_at_the_end_of_its_file_is_that_trials_recipe(path: Path, copied: Path) -> None:
    """As `best.toml` says it is used."""
    assert "without its [sweep] tables and with these lines at the end" in " ".join(PASTE)
    file = copied / path.relative_to(EXPERIMENTS)
    experiment, used = read_experiment(str(file)), file.with_name(f"best-{file.name}")
    for number, (cell, tables, _) in enumerate(corners_of(experiment)):
        settings = space_of(experiment).suggest(Corner(is_last=bool(number % 2)))
        written = {**dict(cell.written), **settings, "train.steps": 7}
        used.write_text(f"{cut(file.read_text())}\n{as_cell('best', written)}")
        pasted = cells_of(read_experiment(str(used)))[-1]
        assert pasted.label == "best"
        assert pasted.recipe == resolve(set_path(tables, "train.steps", 7), experiment.registry, "trial")


@pytest.mark.parametrize("path", SWEEPS, ids=name)
def test_its_trials_have_one_budget_one_band_set_and_a_seed_of_their_own(path: Path) -> None:
    experiment = read_experiment(str(path))
    sweep = sweep_of(experiment)
    assert sweep.budget is not None and sweep.best < sweep.trials
    assert sweep.trial_seed not in experiment.settings.seeds
    assert len(experiment.settings.bands) == 1


@pytest.mark.parametrize("path", TINY, ids=name)
def test_the_tiny_variant_searches_the_same_paths(path: Path) -> None:
    full = read_experiment(str(path.with_name(path.name.replace("-tiny", ""))))
    tiny = read_experiment(str(path))
    assert tiny.settings.title == full.settings.title and tiny.settings.bands == full.settings.bands
    searched = [
        {each.path: (each.is_log, each.is_integer, set(each.when)) for each in space_of(experiment).dimensions}
        for experiment in (tiny, full)
    ]
    assert searched[0] == searched[1]


@pytest.mark.parametrize("path", TINY, ids=name)
def test_trials_at_its_corners_are_runs_of_their_own_that_can_be_planned(path: Path, store: Path) -> None:
    # Nothing is scored, and few images are made: what is planned does not depend on either.
    experiment = read_experiment(str(path), ["data.count=128"])
    (cell, _, first), (_, tables, last) = corners_of(experiment)
    assert len({canonical(recipe.model_dump(mode="json")) for recipe in (cell.recipe, first, last)}) == 3
    plan = make_plan(replace(experiment, recipe=tables, tasks=(), baselines=()), store)
    assert plan.rows[0].recipe == last and not plan.missing
    assert all(subject in plan.runs for _, subject in plan.rows[0].subjects)
