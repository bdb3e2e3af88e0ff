"""Which runs an experiment names: those of its cells and baselines, and those that their teachers are."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deo_bench.errors import UserError
from deo_bench.experiments.file import NOT_PARTS, Experiment, read_experiment
from deo_bench.experiments.plan import Plan, make_plan
from deo_bench.recipe import PartTable

if TYPE_CHECKING:
    from deo_bench.experiments.sweep.plan import SweepPlan
    from deo_bench.experiments.sweep.study import Study


def runs_named(name: str, store: Path, data: Path | None = None, storage: str | None = None) -> frozenset[str]:
    """The names of every run that an experiment (file or preset) names, whether made or not.

    A UserError where a cell's runs cannot be named, since its data or weights are not here: nobody may take them for
    runs that the experiment does not need. So too where a sweep's studies are in another storage than `storage` or the
    one that the file names.
    """
    experiment = read_experiment(name)
    if experiment.settings.sweep is not None:
        return _of_sweep(experiment, store, data, storage)
    plan = make_plan(replace(experiment, tasks=()), store, data, skip_missing=True)
    unnamed = [line for line in plan.missing if line.startswith("cell ")]
    if unnamed:
        raise UserError(f"{experiment.path}: cannot tell which runs it names: {unnamed[0]}")
    return frozenset(plan.runs) | _of_teachers(plan)


def _of_sweep(experiment: Experiment, store: Path, data: Path | None, storage: str | None) -> frozenset[str]:
    """The runs of a sweep's trials, whatever became of them, and those of its finalists."""
    from deo_bench.experiments.sweep.final import final_plan
    from deo_bench.experiments.sweep.plan import make_sweep

    sweep, studies = _looked_for(make_sweep(experiment, store, data, storage))
    plan = final_plan(sweep, studies)
    trials = [trial for study in studies if study is not None for trial in study.trials()]
    runs = {str(trial.user_attrs["run"]) for trial in trials if "run" in trial.user_attrs}
    # Until all studies are over any trial may be a finalist, and some have been before `trials` was raised.
    seeds = {seed for tuned in sweep.cells for seed in tuned.cell.seeds}
    runs |= {f"{run.rpartition('-s')[0]}-s{seed}" for run in runs for seed in seeds}
    return frozenset(plan.runs) | runs | _of_teachers(plan)


def _looked_for(sweep: SweepPlan) -> tuple[SweepPlan, list[Study | None]]:
    """A sweep and its studies, where they are.

    One storage is named for several experiments, of which one may have its studies where its own file says.
    """
    try:
        return sweep, sweep.studies_looked_for(strictly=True)
    except UserError:
        own = replace(sweep, url=sweep.sweep.storage)
        if own.url != sweep.url:
            with contextlib.suppress(UserError):
                return own, own.studies_looked_for(strictly=True)
        raise


def _of_teachers(plan: Plan) -> frozenset[str]:
    """Stored runs that are named as teachers or baselines, `run = …`, which no plan trains."""
    tables: list[PartTable] = [table for run in plan.runs.values() for table in run.recipe.every_teacher.values()]
    tables += plan.experiment.frozen_concat
    tables += [table for table in plan.experiment.baselines if table.use not in NOT_PARTS]
    needed = [plan.identifier.prerequisite(table) for table in tables]
    return frozenset(one.run for one in needed if one is not None and one.run is not None)
