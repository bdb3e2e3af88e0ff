"""What a sweep is: its cells, each with a study, the space and the aims, all checked before the first trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deo_bench.data import Places
from deo_bench.errors import MissingInput, UserError
from deo_bench.experiments.file import Experiment
from deo_bench.experiments.grid import GridCell, cells_of
from deo_bench.experiments.plan import Plan, make_plan
from deo_bench.experiments.sweep.aims import aims_of, select_requests, sweep_of, told_aims
from deo_bench.experiments.sweep.assignments import assignments
from deo_bench.experiments.sweep.budget import Costs, with_budget
from deo_bench.experiments.sweep.inputs import check_inputs, digests_of, judged_bands, without_hint
from deo_bench.experiments.sweep.kept import Kept
from deo_bench.experiments.sweep.pruners import pruner_of, prunes, told_pruner
from deo_bench.experiments.sweep.samplers import check_sampler, told_sampler
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.experiments.sweep.space import Space, space_of, tables_of
from deo_bench.experiments.sweep.space_checks import check_space, default_of
from deo_bench.experiments.sweep.storage import sweeps_folder
from deo_bench.recipe import Recipe, digest, resolve
from deo_bench.reports.searched import Aim
from deo_bench.store import Store

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from deo_bench.experiments.sweep.study import Study

DEFAULT = "default"
"""What the recipe as it stands is called beside its trials."""


@dataclass(frozen=True)
class TunedCell:
    """A cell and its study. label: empty where the experiment has no grid; recipe: as it stands, under the budget;
    study: the study's name.
    """

    label: str
    cell: GridCell
    recipe: Recipe
    study: str

    def row(self, name: str) -> str:
        """What a row of the tables is called that is a trial of this cell, or its recipe as it stands."""
        return f"{self.label}, {name}" if self.label else name


@dataclass(frozen=True)
class SweepPlan:
    """A sweep, checked.

    url: of the storage of its studies, none for a journal in the store; base: the plan of the recipes as they stand,
    with the experiment's seeds, and what they are scored on; costs: what steps cost, counted once; judged: the band set
    that all trials are judged on, by task;
    skip_missing: rows whose data or weights are not here are left out.
    """

    experiment: Experiment
    sweep: Sweep
    store: Path
    data: Path | None
    url: str | None
    space: Space
    aims: tuple[Aim, ...]
    cells: tuple[TunedCell, ...]
    base: Plan
    costs: Costs
    judged: Mapping[str, str]
    skip_missing: bool = False

    @property
    def folder(self) -> Path:
        """Where the processes of the sweep share what is no study: locks, claims on trials, what each does."""
        return sweeps_folder(self.store, self.experiment.name)

    def recipe(self, tuned: TunedCell, settings: Mapping[str, Any]) -> Recipe:
        """The recipe of a trial of a cell, under the budget."""
        return _recipe(self.experiment, self.sweep, tuned.cell, settings, self.costs)

    def final_runs(self, wanted: Sequence[int]) -> int:
        """Runs with fresh seeds at the most. wanted: trials of each cell's study."""
        finalists = [min(self.sweep.best, trials) + 1 for trials in wanted]
        return sum(count * len(tuned.cell.seeds) for count, tuned in zip(finalists, self.cells, strict=True))

    def recipes(self) -> Iterator[Recipe]:
        """Recipes that name every part that a trial or a baseline may have."""
        yield from (run.recipe for run in self.base.runs.values())
        for tuned in self.cells:
            yield from (self.recipe(tuned, settings) for settings in assignments(self.space))

    def checked_anew(self) -> SweepPlan:
        """The same sweep by what is here now; a MissingInput where something lacks meanwhile."""
        return make_sweep(self.experiment, self.store, self.data, self.url)

    def studies(self) -> list[Study]:
        """The study of each cell, made where it is not there yet. In a forked child: opened there."""
        from deo_bench.experiments.sweep.storage import open_storage

        storage = open_storage(self.url, self.store, self.experiment.name)
        opened = [self._open(storage, tuned) for tuned in self.cells]
        self._kept.put_down([tuned.study for tuned in self.cells])
        self.costs.keep()
        return opened

    def studies_there(self) -> list[Study | None]:
        """The study of each cell, none where it is not there; nothing is made by looking."""
        from optuna import get_all_study_names

        from deo_bench.experiments.sweep.storage import answering, is_there, open_storage

        if not is_there(self.url, self.store, self.experiment.name):
            return [None] * len(self.cells)
        storage = open_storage(self.url, self.store, self.experiment.name)
        with answering(self.experiment.name):
            names = set(get_all_study_names(storage))
        return [self._open(storage, tuned) if tuned.study in names else None for tuned in self.cells]

    def studies_looked_for(self, strictly: bool = False, anew: bool = False) -> list[Study | None]:
        """As `studies_there`; a UserError where one is kept in another storage (`kept.py`).

        anew: for who makes those that are not there, and is told how a study that is elsewhere is begun anew here.
        """
        found = self.studies_there()
        is_found = {tuned.study: study is not None for tuned, study in zip(self.cells, found, strict=True)}
        self._kept.check(is_found, str(self.experiment.path), strictly, anew)
        return found

    @property
    def _kept(self) -> Kept:
        return Kept(self.url, self.store, self.experiment.name)

    def _open(self, storage: BaseStorage, tuned: TunedCell) -> Study:
        from deo_bench.experiments.sweep.study import Study

        default = default_of(self.space, self.experiment, tuned.cell)
        return Study.open(storage, tuned.study, self.sweep, self.space, self.aims, default, place=self.folder)


def make_sweep(
    experiment: Experiment,
    store: Path,
    data: Path | None = None,
    url: str | None = None,
    skip_missing: bool = False,
) -> SweepPlan:
    """The sweep that an experiment asks for, or one line that says what is wrong with it, before anything runs.

    url: of the storage, in place of the one that the file names; skip_missing: for a report of what is there, without
    the rows whose data or weights are not.
    """
    sweep = sweep_of(experiment)
    cells = cells_of(experiment)
    _check_seeds(experiment, sweep, cells)
    space = space_of(experiment)
    places = Places.of(store, data)
    pruner_of(sweep, f"{experiment.path}: sweep.pruner")
    aims = aims_of(experiment, places)
    check_sampler(sweep, space, len(aims), f"{experiment.path}: sweep.sampler")
    check_space(space, sweep, experiment, cells)
    costs = Costs(experiment.registry, places, Store(store))
    rows = [
        TunedCell(cell.label if experiment.grid else "", cell, _recipe(experiment, sweep, cell, {}, costs), "")
        for cell in cells
    ]
    try:
        base = make_plan(experiment, store, data, skip_missing, [default_cell(row) for row in rows])
    except MissingInput as error:
        raise without_hint(error) from None
    _check_choices(space, base, cells, skip_missing)
    judged = judged_bands(base, aims, space, cells)
    base.requests += select_requests(base, aims, judged)
    _check_there(base, aims)
    named = tuple(replace(row, study=_name(experiment, sweep, space, aims, base, row)) for row in rows)
    return SweepPlan(
        experiment, sweep, store, data, url or sweep.storage, space, aims, named, base, costs, judged, skip_missing
    )


def _check_choices(space: Space, base: Plan, cells: Sequence[GridCell], skip_missing: bool) -> None:
    """All that the choices of a space name is here: no trial is to find out, and studies are named by it."""
    try:
        check_inputs(space, base.experiment, cells, base.identifier, base.store)
    except MissingInput as error:
        if not skip_missing:
            raise
        if any(each.choices for each in space.dimensions):
            raise UserError(f"{base.experiment.path}: cannot tell which studies are its own: {error}") from None


def _check_there(base: Plan, aims: Sequence[Aim]) -> None:
    """All that a study is named by is here: it could not be found without."""
    there = {request.task for request in base.requests if request.role == "select"}
    lacking = {task for aim in aims for task in aim.tasks} - there
    if lacking and base.missing:
        raise UserError(f"{base.experiment.path}: cannot tell which studies are its own: {base.missing[0]}")


def default_cell(tuned: TunedCell) -> GridCell:
    """A cell's recipe as it stands, as a row of its own."""
    return replace(tuned.cell, label=tuned.row(DEFAULT), recipe=tuned.recipe)


def trial_cell(sweep: SweepPlan, tuned: TunedCell, number: int, settings: Mapping[str, Any]) -> GridCell:
    """A trial of a cell as a cell of its own, with the seed of all trials.

    Its settings are points of intervals, not levels of a factor: a report tells effects of the recipes as they stand.
    """
    recipe, label = sweep.recipe(tuned, settings), tuned.row(f"trial {number}")
    return GridCell(label, (), recipe, (sweep.sweep.trial_seed,))


def _check_seeds(experiment: Experiment, sweep: Sweep, cells: Sequence[GridCell]) -> None:
    """The seed of the trials is none of those that their finalists are run with, or these would be no fresh ones."""
    seeds = sorted({seed for cell in cells for seed in cell.seeds})
    if sweep.trial_seed in seeds:
        raise UserError(
            f"{experiment.path}: sweep.trial_seed: {sweep.trial_seed} is one of the experiment's seeds "
            f"({', '.join(map(str, seeds))}), with which the best trials are run anew; say another"
        )


def _recipe(experiment: Experiment, sweep: Sweep, cell: GridCell, settings: Mapping[str, Any], costs: Costs) -> Recipe:
    """A cell's recipe with settings laid over it, under the budget."""
    where = str(experiment.path)
    tables = with_budget(tables_of(experiment, cell, settings), sweep.budget, costs, where)
    return resolve(tables, experiment.registry, where)


def _name(experiment: Experiment, sweep: Sweep, space: Space, aims: Sequence[Aim], base: Plan, tuned: TunedCell) -> str:
    """A study's name: the experiment, the cell, and eight hex digits of all that makes its trials comparable.

    How many trials it gets, how many of them are run anew, with which seeds, and where it is kept are not in it.
    """
    row = next((row for row in base.rows if row.label == tuned.row(DEFAULT)), None)
    subject = row.subjects[0][1] if row is not None else ""
    told: dict[str, Any] = {
        "recipe": base.identifier.contents(tuned.recipe),
        "space": space.told(),
        "aims": told_aims(sweep, aims),
        "scores": sorted(
            request.digest for request in base.requests if request.subject == subject and request.role == "select"
        ),
        "budget": sweep.budget.model_dump(exclude_none=True) if sweep.budget else None,
        "sampler": told_sampler(sweep),
        "pruner": told_pruner(sweep),
        "measure": sweep.measure.model_dump() if prunes(sweep) else None,
        "seeds": [sweep.seed, sweep.trial_seed],
    }
    if choices := digests_of(space, experiment, tuned.cell, base.identifier):
        told["choices"] = choices
    label = f" {tuned.label}" if tuned.label else ""
    return f"{experiment.name}{label} {digest(told, 8)}"
