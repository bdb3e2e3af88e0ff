"""A grid's cells: products, pairs and named cells of values at dotted paths."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deo_bench.errors import UserError, nearest, shown
from deo_bench.experiments.file import Experiment
from deo_bench.recipe import Recipe, resolve, set_path
from deo_bench.recipe.checking import plain
from deo_bench.recipe.naming import json_text, short_names, value_texts

Setting = tuple[str, Any]
MOST_CELLS = 10_000


@dataclass(frozen=True)
class GridCell:
    """One cell: its label (what varies in it), its settings by dotted path, its resolved recipe and its seeds.

    written: the settings as the file has them, whose strings know the folder that paths in them start from.
    """

    label: str
    settings: tuple[Setting, ...]
    recipe: Recipe
    seeds: tuple[int, ...]
    written: tuple[Setting, ...] = field(default=(), repr=False)


def cells_of(experiment: Experiment) -> list[GridCell]:
    """Every cell of an experiment, in order: grid x zips, then the named ones; without any, the recipe alone."""
    source = str(experiment.path)
    axes = [list(_axis(path, values, source)) for path, values in _flat(experiment.grid.get("grid", {}))]
    pairs = [list(_pairs(table, source)) for table in experiment.grid.get("zip", ())]
    named = experiment.grid.get("cells", ())
    count = math.prod(map(len, (*axes, *pairs)))
    if count > MOST_CELLS:
        raise UserError(f"{source}: grid: {count:,} cells, more than the {MOST_CELLS:,} of one experiment; split it")
    products: list[tuple[Setting, ...]] = []
    if axes or pairs or not named:
        products = [tuple(itertools.chain(*choice)) for choice in itertools.product(*axes, *pairs)]
    excluded = [dict(_flat(table)) for table in experiment.grid.get("exclude", ())]
    _check_excluded(excluded, products, source)
    kept = [choice for choice in products if not any(_matches(choice, table) for table in excluded)]
    names = short_names({path for choice in kept for path, _ in choice})
    said = {path: value_texts([dict(choice)[path] for choice in kept if path in dict(choice)]) for path in names}
    seeds = experiment.settings.seeds
    cells = [_cell(experiment, _label(choice, names, said) or experiment.name, choice, seeds) for choice in kept]
    for table, settings in zip(named, experiment.settings.cells, strict=True):
        own = {key: value for key, value in table.items() if key not in ("name", "seeds")}
        cells.append(_cell(experiment, settings.name, tuple(_flat(own)), settings.seeds or seeds))
    for label, times in Counter(cell.label for cell in cells).items():
        if times > 1:
            raise UserError(f"{source}: two cells are called {label!r}; each needs a value or a name of its own")
    if not cells:
        raise UserError(f"{source}: the grid has no cells left; see exclude")
    return cells


def _cell(experiment: Experiment, label: str, choice: tuple[Setting, ...], seeds: Sequence[int]) -> GridCell:
    tables = laid_over(experiment.recipe, dict(choice))
    settings = tuple((path, plain(value)) for path, value in choice)
    recipe = resolve(tables, experiment.registry, str(experiment.path))
    return GridCell(label, settings, recipe, tuple(seeds), choice)


def laid_over(tables: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with values laid over them by dotted path, parts first.

    An option of a part that the same settings choose must find that part in place; else in the order of settings.
    """
    laid = dict(tables)
    for path, value in sorted(settings.items(), key=lambda setting: not setting[0].endswith((".use", ".loss"))):
        laid = set_path(laid, path, value)
    return laid


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[Setting]:
    """Dotted paths and what stands there; one with `from`, or with `use` beside other keys, is itself a value."""
    for key, value in table.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and not ("from" in value or ("use" in value and len(value) > 1)):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value


def _axis(path: str, values: Any, source: str) -> Iterable[tuple[Setting, ...]]:
    if not isinstance(values, list) or not values:
        raise UserError(f"{source}: grid.{path}: expected a list of values, got {shown(values)}")
    return [((path, value),) for value in values]


def _pairs(table: Mapping[str, Any], source: str) -> Iterable[tuple[Setting, ...]]:
    paths = list(_flat(table))
    if not paths:
        raise UserError(f"{source}: zip: an empty table; it holds lists of one length at dotted paths")
    lengths = {path: len(values) if isinstance(values, list) else 0 for path, values in paths}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        told = ", ".join(f"{path} has {length}" for path, length in lengths.items())
        raise UserError(f"{source}: zip: lists of one length are paired, but {told}")
    return [tuple((path, values[i]) for path, values in paths) for i in range(next(iter(lengths.values())))]


def _check_excluded(
    excluded: Iterable[Mapping[str, Any]], products: Sequence[tuple[Setting, ...]], source: str
) -> None:
    """A table that matches no cell, as by a mistyped path or value, would exclude nothing, without a word."""
    choices: dict[str, dict[str, Any]] = {}
    for path, value in itertools.chain(*products):
        choices.setdefault(path, {})[_text(value)] = value
    for table in excluded:
        for path, value in table.items():
            if path not in choices:
                raise UserError(f"{source}: exclude: {shown(path)} is no path of the grid{nearest(path, choices)}")
            if not any(value == each for each in choices[path].values()):
                near = nearest(_text(value), choices[path])
                raise UserError(f"{source}: exclude: {path}: the grid has no value {shown(value)}{near}")
        if not any(_matches(choice, table) for choice in products):
            together = " with ".join(f"{path}={_text(value)}" for path, value in table.items())
            raise UserError(f"{source}: exclude: no cell has {together}, which excludes nothing")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(plain(value))


def _matches(choice: tuple[Setting, ...], table: Mapping[str, Any]) -> bool:
    settings = dict(choice)
    return all(path in settings and settings[path] == value for path, value in table.items())


def _label(choice: tuple[Setting, ...], names: Mapping[str, str], said: Mapping[str, Mapping[str, str]]) -> str:
    """What varies, in words; settings that go together (one key, one value, as a zip pairs them) are said once."""
    told = [(path.rpartition(".")[2], said[path][json_text(value)], names[path]) for path, value in choice]
    twins = {(key, value) for key, value, _ in told if sum((key, value) == other[:2] for other in told) > 1}
    twins = {(key, value) for key, value in twins if key not in ("use", "loss")}
    parts = [f"{key}={value}" if (key, value) in twins else f"{name}={value}" for key, value, name in told]
    return ", ".join(dict.fromkeys(parts))
