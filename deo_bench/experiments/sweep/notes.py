"""What a sweep says that has no effect: no mistake, since an option of the command may have made it so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deo_bench.experiments.sweep.aims import COSTS
from deo_bench.experiments.sweep.assignments import assignments
from deo_bench.experiments.sweep.plan import SweepPlan
from deo_bench.experiments.sweep.pruners import prunes
from deo_bench.recipe import Recipe


def notes_of(made: SweepPlan) -> list[str]:
    """A line each, for whoever is about to start it."""
    told, file = [], made.experiment.path
    if "measure" in made.sweep.model_fields_set and not prunes(made.sweep):
        told.append(f'{file}: sweep.measure: has no effect, since pruner is "none": nothing is measured on the way')
    for place, objective in enumerate(made.sweep.objectives):
        if objective.cost is not None and _is_fixed(made, objective.cost):
            what = f"every trial of a cell has the same {COSTS[objective.cost]}"
            told.append(f"{file}: sweep.objectives[{place}]: tells no trials apart: {what}")
    return told


def _is_fixed(made: SweepPlan, cost: str) -> bool:
    """Whether a cost is sure to be the same in all trials of every cell."""
    budget = made.sweep.budget
    if cost != "parameters" and budget is not None and budget.pflops is not None:
        return True  # to the nearest step

    def of_training(recipe: Recipe) -> Any:
        return made.costs.key(recipe), recipe.train.steps

    def of_student(recipe: Recipe) -> Any:
        return recipe.student

    follows_from: Callable[[Recipe], Any] = of_student if cost == "parameters" else of_training
    for tuned in made.cells:
        first, *others = [follows_from(made.recipe(tuned, settings)) for settings in assignments(made.space)]
        if any(other != first for other in others):
            return False
    return True
