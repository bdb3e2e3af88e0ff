"""`[sweep.space]`: the paths that a sweep varies, what it tries there, and settings that are laid over a recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deo_bench.errors import UserError
from deo_bench.experiments.file import Experiment
from deo_bench.experiments.grid import GridCell, laid_over
from deo_bench.experiments.sweep.dimension import Dimension, Suggests, Told
from deo_bench.experiments.sweep.reading import read_dimensions
from deo_bench.recipe import Recipe, resolve
from deo_bench.recipe.naming import short_names
from deo_bench.reports.searched import Axis

__all__ = ["Dimension", "Space", "laid_over", "read_space", "recipe_of", "space_of", "tables_of"]

MOST_POINTS = 10_000
"""Of a space that is searched as a grid."""


@dataclass(frozen=True)
class Space:
    """The dimensions of a sweep; what a condition names comes before what it is a condition of.

    where: the file and the table, for errors.
    """

    dimensions: tuple[Dimension, ...]
    where: str = "sweep.space"

    def suggest(self, trial: Suggests) -> dict[str, Any]:
        """Values by path of those that are in force, asked of one of Optuna's trials in the order of dimensions."""
        settings: dict[str, Any] = {}
        for each in self.dimensions:
            if each.in_force(settings):
                settings[each.path] = each.suggest(trial)
        return settings

    def settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Values by path from the params of a trial that was suggested; what is not in force, or not there, is not."""
        settings: dict[str, Any] = {}
        for each in self.dimensions:
            if each.path in params and each.in_force(settings):
                settings[each.path] = each.value(params[each.path])
        return settings

    def is_whole(self, params: Mapping[str, Any]) -> bool:
        """Whether params say all that is in force; of a trial whose worker died while suggesting it, they may not."""
        settings = self.settings(params)
        return all(each.path in settings for each in self.dimensions if each.in_force(settings))

    def params_of(self, recipe: Recipe) -> dict[str, Told] | None:
        """The params that give a resolved recipe, or none where it has a value outside the space.

        Of a term, a teacher or a head that the recipe dropped nothing is told but what dropped it, where the space
        has that (a weight of 0, a teacher `none`). Whether any value of what is left open gives the same recipe is
        for `default_of` to try.
        """
        table = recipe.model_dump(mode="json", by_alias=True)
        settings: dict[str, Any] = {}
        params: dict[str, Told] = {}
        for each in self.dimensions:
            if not each.in_force(settings):
                continue
            is_there, found = _found(table, each.path)
            told = each.told(found) if is_there else each.told(_DROPS.get(each.path.rpartition(".")[2]))
            if told is None and is_there:
                return None
            if told is not None:
                params[each.path] = told
                settings[each.path] = each.value(told)
        return params

    def grid(self) -> dict[str, list[Told]]:
        """All values by path, for a sampler that goes through their product.

        Raises:
            UserError: a real without `step`, a condition, or more points than anybody would want.
        """
        for each in self.dimensions:
            if each.when:
                told = "a grid is a product, and a path with `when` is not in force everywhere; take another sampler"
                raise UserError(f"{self.where}.{each.path}: {told}")
            if each.count() is None:
                raise UserError(f"{self.where}.{each.path}: sampler 'grid' needs step = …, or a list of values")
        points = math.prod(each.count() or 0 for each in self.dimensions)
        if points > MOST_POINTS:
            raise UserError(
                f"{self.where}: a grid of {points:,} points, more than {MOST_POINTS:,}; take another sampler"
            )
        return {each.path: list(each.every()) for each in self.dimensions}

    def told(self) -> dict[str, Any]:
        """The space as JSON, whatever the order of its file: what a study's identity has of it."""
        return {each.path: each.as_json() for each in sorted(self.dimensions, key=lambda each: each.path)}

    def axes(self) -> tuple[Axis, ...]:
        """The dimensions as figures show them."""
        names = short_names([each.path for each in self.dimensions])
        return tuple(each.axis(names[each.path]) for each in self.dimensions)

    def shown(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings as figures show them: of choices their texts, as `axes` has them."""
        axes = {each.path: (each, each.axis(each.path).choices) for each in self.dimensions if each.choices}
        return {
            path: axes[path][1][_index(axes[path][0], value)] if path in axes else value
            for path, value in settings.items()
        }


def read_space(table: Mapping[str, Any], where: str) -> Space:
    """A space from its table, or one line that says what is wrong in it. where: the file and the table."""
    return Space(read_dimensions(table, where), where)


def space_of(experiment: Experiment) -> Space:
    """The space of an experiment that has a sweep; paths in its choices are relative to the experiment's file."""
    return read_space(experiment.space, f"{experiment.path}: sweep.space")


def tables_of(experiment: Experiment, cell: GridCell, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a cell's recipe with a trial's settings: both laid over at once, so that parts come first."""
    return laid_over(experiment.recipe, {**dict(cell.written), **settings})


def recipe_of(experiment: Experiment, cell: GridCell, settings: Mapping[str, Any]) -> Recipe:
    """A cell's recipe with a trial's settings, without a budget; a UserError where a part refuses them."""
    return resolve(tables_of(experiment, cell, settings), experiment.registry, str(experiment.path))


_DROPS = {"weight": 0, "use": "none", "init": "scratch"}
"""What a recipe says nothing of, by the last word of the path: a dropped term, a dropped teacher, a drawn student."""


def _found(table: Mapping[str, Any], path: str) -> tuple[bool, Any]:
    """Whether a resolved recipe has a path, as people write it, and what stands there."""
    here: Any = table
    for key in path.split("."):
        if not isinstance(here, Mapping):
            return False, None
        options = here.get("options")
        if isinstance(options, Mapping) and key not in here:
            here = options
        if key not in here:
            return False, None
        here = here[key]
    return True, here


def _index(dimension: Dimension, value: Any) -> int:
    return next(number for number, choice in enumerate(dimension.choices) if choice == value)
