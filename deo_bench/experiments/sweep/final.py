"""The best trials and the recipe as it stands, run with fresh seeds; and what a report is told of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deo_bench.errors import MissingInput
from deo_bench.experiments.grid import GridCell
from deo_bench.experiments.plan import Plan, make_plan
from deo_bench.experiments.sweep.aims import judged_by, reached, select_requests
from deo_bench.experiments.sweep.inputs import without_hint
from deo_bench.experiments.sweep.plan import DEFAULT, SweepPlan, TunedCell, default_cell, trial_cell
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.experiments.sweep.space_checks import is_as_it_stands
from deo_bench.recipe import Recipe
from deo_bench.reports.searched import Finalist, Searched, State, Tried

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from deo_bench.experiments.sweep.study import Study

_STATES: Mapping[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


def final_plan(sweep: SweepPlan, studies: Sequence[Study | None]) -> Plan:
    """The plan of the finalists of every cell: the best trials, each another recipe, beside the recipe as it stands.

    Its scores are those that the experiment asks for, and of the finalists those on *select* that the sweep went by.
    Until every study is over nobody is a finalist but the recipes as they stand.
    """
    cells: list[GridCell] = []
    is_over = all(study is not None and study.is_over for study in studies)
    for tuned, study in zip(sweep.cells, studies, strict=True):
        cells.append(default_cell(tuned))
        if is_over and study is not None:
            cells += _best_cells(sweep, tuned, study)
    try:
        plan = make_plan(sweep.experiment, sweep.store, sweep.data, sweep.skip_missing, cells)
    except MissingInput as error:
        raise without_hint(error) from None
    plan.requests += select_requests(plan, sweep.aims, sweep.judged)
    return plan


def _best_cells(sweep: SweepPlan, tuned: TunedCell, study: Study) -> list[GridCell]:
    """The best trials of a study as cells with the experiment's seeds."""
    settings = {trial.number: sweep.space.settings(trial.params) for trial in study.trials()}
    made = [trial_cell(sweep, tuned, number, settings[number]) for number in best_numbers(sweep, tuned, study)]
    return [replace(cell, seeds=tuned.cell.seeds) for cell in made]


def best_numbers(sweep: SweepPlan, tuned: TunedCell, study: Study) -> list[int]:
    """Numbers of the best trials of a study, of which no two are one recipe, nor one the recipe as it stands."""
    trials = {trial.number: trial for trial in study.trials()}
    found: dict[str, int] = {}
    known = sweep.base.identifier.digest(tuned.recipe)
    for number in study.best(len(trials)):
        if len(found) == sweep.sweep.best:
            break  # a recipe is resolved to be told from others, and there are many trials
        recipe = sweep.recipe(tuned, sweep.space.settings(trials[number].params))
        name = sweep.base.identifier.digest(recipe)
        if name != known:
            found.setdefault(name, number)
    return list(found.values())


def searched_of(sweep: SweepPlan, studies: Sequence[Study | None], plan: Plan | None = None) -> list[Searched]:
    """What a report and a display are told of each study. plan: of the finalists, where they are to be told too."""
    found = []
    for tuned, study in zip(sweep.cells, studies, strict=True):
        trials = tuple(tried_of(sweep, tuned, trial) for trial in study.trials()) if study is not None else ()
        finalists = _finalists(sweep, tuned, trials, plan) if plan is not None else ()
        wanted = study.wanted if study is not None else sweep.sweep.trials
        found.append(
            Searched(
                tuned.label,
                tuned.study,
                sweep.aims,
                sweep.space.axes(),
                trials,
                finalists,
                wanted,
                told_search(sweep.sweep),
                sweep.judged,
                *judged_by(sweep.experiment),
            )
        )
    return found


def tried_of(sweep: SweepPlan, tuned: TunedCell, trial: FrozenTrial) -> Tried:
    """A trial as a report takes it; the recipe as it stands is one that was asked for as such, and is it."""
    state = _STATES.get(trial.state.name, "running")
    values: tuple[float | None, ...] = (None,) * len(sweep.aims)
    if state == "complete" and trial.values is not None:
        values = tuple(trial.values)
    told, settings = trial.user_attrs, sweep.space.settings(trial.params)
    seconds = told.get("seconds")
    return Tried(
        number=trial.number,
        state=state,
        values=values,
        settings=sweep.space.shown(settings),
        run=str(told.get("run", "")),
        measured={percent / 100: value for percent, value in sorted(trial.intermediate_values.items())},
        is_default=bool(told.get("default")) and is_as_it_stands(settings, sweep.experiment, tuned.cell),
        cost_nothing=bool(told.get("cost_nothing")),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        written=settings,
    )


def told_search(sweep: Sweep) -> tuple[str, ...]:
    """How trials were chosen, in words: sampler, pruner, budget, seeds."""
    sampler, pruner = (each if isinstance(each, str) else str(each["use"]) for each in (sweep.sampler, sweep.pruner))
    told = [f"sampler {sampler}, seed {sweep.seed}", f"every trial at seed {sweep.trial_seed}"]
    if pruner != "none":
        every = f"{sweep.measure.every:.0%}"
        told.append(f"pruner {pruner}, by nearest neighbours on select after each {every} of the training")
    if sweep.budget is not None:
        (name, amount), *_ = sweep.budget.model_dump(exclude_none=True).items()
        told.append(f"every trial {amount:,} {'PFLOPs' if name == 'pflops' else name}")
    return tuple(told)


def _finalists(sweep: SweepPlan, tuned: TunedCell, trials: Sequence[Tried], plan: Plan) -> tuple[Finalist, ...]:
    """The rows of a cell, in the order of the table, with what they reached."""
    name = plan.identifier.digest(tuned.recipe)
    default = next((trial for trial in trials if trial.is_default or trial.run.partition("-s")[0] == name), None)
    known: dict[str, tuple[int | None, Tried | None]] = {tuned.row(DEFAULT): (None, default)}
    known |= {tuned.row(f"trial {trial.number}"): (trial.number, trial) for trial in trials}
    found = []
    for row in plan.rows:
        if row.kind != "cell" or row.label not in known:
            continue
        number, trial = known[row.label]
        searched = trial.values if trial is not None else (None,) * len(sweep.aims)
        values = {int(seed or 0): reached(plan, sweep.aims, subject) for seed, subject in row.subjects}
        fresh = tuple(
            {seed: value for seed, each in values.items() if (value := each[place]) is not None}
            for place in range(len(sweep.aims))
        )
        written = _written(sweep, tuned, trial.written if number is not None and trial is not None else {}, row.recipe)
        found.append(Finalist(row.label, number, searched, fresh, written))
    return tuple(found)


def _written(sweep: SweepPlan, tuned: TunedCell, settings: Mapping[str, Any], recipe: Recipe | None) -> dict[str, Any]:
    """All that is laid over the experiment's recipe to have a finalist's. recipe: the finalist's own."""
    budget = {"train.steps": recipe.train.steps} if sweep.sweep.budget is not None and recipe is not None else {}
    return {**dict(tuned.cell.written), **settings, **budget}
