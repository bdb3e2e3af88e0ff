"""Whether a space fits the recipes that it varies, before anything runs: paths, ends, choices, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from deo_bench.errors import UserError, nearest, shown
from deo_bench.experiments.file import Experiment
from deo_bench.experiments.grid import GridCell
from deo_bench.experiments.sweep.assignments import assignments, pairs
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.experiments.sweep.space import Space, recipe_of, tables_of
from deo_bench.recipe.checking import plain
from deo_bench.recipe.resolve import TABLES

NAMED = {"teachers": "role of a teacher", "heads": "head", "objective": "term"}
"""Tables of a recipe that hold named tables, and what each of those is."""

STEPS = "train.steps"


def check_space(space: Space, sweep: Sweep, experiment: Experiment, cells: Sequence[GridCell]) -> None:
    """Refuse a space with paths that are not there, values that a part refuses, or that changes nothing.

    Every cell is resolved with every choice, both ends and a point inside each interval; parts are not built.

    Raises:
        UserError: the first of it, with the key, the value and the cell.
    """
    _check_steps(space, sweep)
    _check_steps_of_cells(sweep, experiment, cells)
    _check_sampler(space, sweep)
    for each in space.dimensions:
        _check_apart(space, each.path, cells)
    for cell in cells:
        tables = tables_of(experiment, cell, {})
        for each in space.dimensions:
            _check_path(each.path, tables, space)
    for cell in cells:
        for settings in assignments(space):
            _tried(space, settings, experiment, cell, in_words(cell, cells))
    for each in space.dimensions:
        if len(each.tries()) > 1 and not any(_changes(space, each.path, experiment, cell) for cell in cells):
            told = "changes no recipe: nothing that is trained depends on it"
            raise UserError(f"{space.where}.{each.path}: {told}")


def in_words(cell: GridCell, cells: Sequence[GridCell]) -> str:
    """Which cell an error is about, where there are several."""
    return f" in the cell {cell.label!r}" if len(cells) > 1 else ""


def default_of(space: Space, experiment: Experiment, cell: GridCell) -> dict[str, Any] | None:
    """The params that give a cell's recipe as it stands, whatever is drawn of the paths that they leave open.

    None where the space does not hold it. Of a dropped term any epsilon gives the same recipe, but no weight does
    except 0: so what is left open is tried.
    """
    params = space.params_of(cell.recipe)
    if params is None:
        return None
    is_it = all(is_as_it_stands(settings, experiment, cell) for settings in _filled_in(space, params))
    return params if is_it else None


def is_as_it_stands(settings: Mapping[str, Any], experiment: Experiment, cell: GridCell) -> bool:
    """Whether settings give a cell's recipe as it stands."""
    try:
        return recipe_of(experiment, cell, settings) == cell.recipe
    except UserError:
        return False


def _filled_in(space: Space, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Settings by params, with every try of the paths that these leave open; those go through theirs together."""
    is_open = [each for each in space.dimensions if each.path not in params]
    for number in range(max((len(each.tries()) for each in is_open), default=1)):
        settings: dict[str, Any] = {}
        for each in space.dimensions:
            if each.in_force(settings):
                tries = each.tries()
                tried = tries[min(number, len(tries) - 1)]
                settings[each.path] = each.value(params[each.path]) if each.path in params else tried
        yield settings


def _check_steps(space: Space, sweep: Sweep) -> None:
    if all(each.path != STEPS for each in space.dimensions):
        return
    if sweep.budget is not None:
        raise UserError(f"{space.where}.{STEPS}: follows from [sweep.budget]; leave one of them out")
    if len(sweep.objectives) == 1:
        told = "with one objective, more steps would only look better; set it in the recipe, or add a cost"
        raise UserError(f"{space.where}.{STEPS}: {told}")


def _check_steps_of_cells(sweep: Sweep, experiment: Experiment, cells: Sequence[GridCell]) -> None:
    """Refuse cells that say steps, which the budget would replace: two that differ in them alone would be one."""
    if sweep.budget is None:
        return
    for cell in cells:
        if any(path == STEPS for path, _ in cell.settings):
            told = f"the cell {cell.label!r} sets it, and it follows from [sweep.budget]; leave one of them out"
            raise UserError(f"{experiment.path}: {STEPS}: {told}")


def _check_sampler(space: Space, sweep: Sweep) -> None:
    name = sweep.sampler if isinstance(sweep.sampler, str) else sweep.sampler.get("use")
    if name == "grid":
        space.grid()


def _check_apart(space: Space, path: str, cells: Sequence[GridCell]) -> None:
    """Refuse a path that the grid sets too, or that would replace what the grid sets."""
    for cell in cells:
        for other, _ in cell.settings:
            if other == path or other.startswith(f"{path}."):
                raise UserError(f"{space.where}.{path}: the grid sets {other} too; vary it in one of them")


def _check_path(path: str, tables: Mapping[str, Any], space: Space) -> None:
    """Refuse a path that starts nowhere; what it ends in is for the part there to say."""
    first, *rest = path.split(".")
    if first not in TABLES:
        raise UserError(f"{space.where}.{path}: a recipe has no table {first!r}{nearest(first, TABLES)}")
    if not rest or first not in NAMED:
        return
    known = tables.get(first, {})
    is_new = any(each.path == f"{first}.{rest[0]}" for each in space.dimensions)
    if not is_new and rest[0] not in known:
        raise UserError(f"{space.where}.{path}: the recipe has no {NAMED[first]} {rest[0]!r}{nearest(rest[0], known)}")


def _tried(space: Space, settings: Mapping[str, Any], experiment: Experiment, cell: GridCell, where: str) -> None:
    """Resolve a cell with settings; a refusal is told of the path that it is about."""
    try:
        recipe_of(experiment, cell, settings)
    except UserError as error:
        path = culprit(settings, lambda fewer: recipe_of(experiment, cell, fewer))
        raise refusal(space, path, settings, f"{where}: {error}") from None


def refusal(space: Space, path: str, settings: Mapping[str, Any], told: str) -> UserError:
    """One line for a value that a recipe or a part refuses. told: where, a colon and why."""
    file = f"{space.where.partition(': sweep')[0]}: "
    each = next(each for each in space.dimensions if each.path == path)
    value = plain(settings[path])
    is_half = isinstance(value, float) and not value.is_integer() and not each.choices and "an integer" in told
    hint = "; say integer = true" if is_half else ""
    beside = [f"{other} = {shown(plain(settings[other]))}" for other in each.when]
    with_it = f" (with {', '.join(beside)})" if beside else ""
    return UserError(f"{space.where}.{path}: {shown(value)} is refused{with_it}{told.replace(file, '', 1)}{hint}")


def culprit(settings: Mapping[str, Any], attempt: Callable[[Mapping[str, Any]], object]) -> str:
    """The path without which settings are accepted, the last such; else the first that makes them refused.

    attempt: what is tried with settings; it refuses them by a UserError.
    """
    paths = list(settings)

    def accepts(fewer: Mapping[str, Any]) -> bool:
        try:
            attempt(fewer)
        except UserError:
            return False
        return True

    for path in reversed(paths):
        if accepts({other: settings[other] for other in paths if other != path}):
            return path
    return next(
        path
        for number, path in enumerate(paths)
        if number + 1 == len(paths) or not accepts({other: settings[other] for other in paths[: number + 1]})
    )


def _changes(space: Space, path: str, experiment: Experiment, cell: GridCell) -> bool:
    """Whether a path makes another recipe of a cell."""
    return any(_differ(one, other, experiment, cell) for one, other in pairs(space, path))


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], experiment: Experiment, cell: GridCell) -> bool:
    try:
        return recipe_of(experiment, cell, one) != recipe_of(experiment, cell, other)
    except UserError:
        return False
