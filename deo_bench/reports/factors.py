"""The factors of a grid: which settings vary over an experiment's cells, and whether every combination is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from deo_bench.errors import UserError, nearest, shown
from deo_bench.recipe.naming import json_text, short_names, value_texts
from deo_bench.reports.entries import Entry

Place = tuple[int, ...]
"""A level a factor."""


@dataclass(frozen=True)
class Factor:
    """A setting, or several that vary together, and its levels in the order of the plan; the first is compared to."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """Cells by their place: a level a factor, in the order of `factors`. Some combinations may lack a cell.

    labels: of the entries; outside: labels of the experiment's other cells.
    """

    factors: tuple[Factor, ...]
    labels: Mapping[Place, str]
    outside: tuple[str, ...] = ()

    @property
    def places(self) -> list[Place]:
        """Every combination of levels, whether there is a cell or not."""
        return list(product(*(range(len(factor.levels)) for factor in self.factors)))

    def full(self, labels: Collection[str]) -> Grid | None:
        """What of the grid is a full product of two factors or more, with only the cells of these labels.

        A level for which cells are missing is left out with all its cells, the emptiest first.
        """
        there = {place: label for place, label in self.labels.items() if label in labels}
        kept = _full(there, [len(factor.levels) for factor in self.factors])
        alive = [axis for axis, levels in enumerate(kept) if len(levels) > 1]
        if len(alive) < 2 or not all(kept):
            return None
        factors = [
            Factor(self.factors[axis].name, tuple(self.factors[axis].levels[level] for level in kept[axis]))
            for axis in alive
        ]
        inside = {tuple(kept[axis].index(place[axis]) for axis in alive): there[place] for place in product(*kept)}
        left = [label for label in self.labels.values() if label not in inside.values()]
        return Grid(tuple(factors), inside, (*left, *self.outside))

    def pair(self, names: Sequence[str] | None) -> tuple[int, int]:
        """The two factors of these names, else the first two; a UserError where there is none of a name."""
        if names is None:
            return 0, 1
        known = [factor.name for factor in self.factors]
        for name in names:
            if name not in known:
                raise UserError(f"pair: the grid has no factor {shown(name)}{nearest(name, known)}")
        if len(set(names)) < 2:
            raise UserError(f"pair: two factors are wanted, got {shown(names[0])} twice")
        return known.index(names[0]), known.index(names[1])


def grid_of(entries: Sequence[Entry]) -> Grid | None:
    """The largest set of cells that vary two factors or more; none where there is no such set.

    Cells belong together where they set the same paths, whether a grid makes them or they are named.
    """
    cells = [entry for entry in entries if entry.kind == "cell"]
    groups: dict[frozenset[str], list[Entry]] = {}
    for entry in cells:
        groups.setdefault(frozenset(entry.settings), []).append(entry)
    for group in sorted(groups.values(), key=len, reverse=True):
        columns = _columns(group)
        if len(columns) > 1:
            factors = tuple(Factor(column.name, column.texts) for column in columns)
            places = {place: entry.label for place, entry in _placed(group, columns).items()}
            outside = tuple(entry.label for entry in cells if entry.label not in places.values())
            return Grid(factors, places, outside)
    return None


def check_pair(pair: Sequence[str] | None, entries: Sequence[Entry]) -> None:
    """A UserError where a report names a pair of factors that its cells do not vary."""
    if pair is None:
        return
    grid = grid_of(entries)
    if grid is None:
        raise UserError("pair: the experiment's cells vary no two settings")
    grid.pair(pair)


@dataclass(frozen=True)
class _Column:
    """What varies: paths that go together, the distinct values that they have, and both in words."""

    paths: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    name: str
    texts: tuple[str, ...]


def _columns(cells: Sequence[Entry]) -> list[_Column]:
    """What varies over cells of the same paths, in their order."""
    order = list(cells[0].settings)
    varying = [(path,) for path in order if len(_levels(cells, (path,))) > 1]
    joined: list[tuple[str, ...]] = []
    for paths in sorted(varying, key=lambda paths: -len(_levels(cells, paths))):
        for i, others in enumerate(joined):
            if len(_levels(cells, others + paths)) == len(_levels(cells, others)):
                # it follows from the others' values, as a zip pairs them: no factor by itself
                joined[i] = others + paths
                break
        else:
            joined.append(paths)
    joined = [tuple(sorted(paths, key=order.index)) for paths in joined]
    short = short_names([path for paths in joined for path in paths])
    joined.sort(key=lambda paths: order.index(paths[0]))
    return [_Column(paths, _levels(cells, paths), *_names(cells, paths, short)) for paths in joined]


def _levels(cells: Sequence[Entry], paths: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(dict.fromkeys(_key(cell, paths) for cell in cells))


def _names(cells: Sequence[Entry], paths: Sequence[str], short: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """A factor's name and its levels': settings of one key and value are said once, as labels say them."""
    said = {path: value_texts([cell.settings[path] for cell in cells]) for path in paths}
    levels = _levels(cells, paths)
    texts = [tuple(dict.fromkeys(said[path][key] for path, key in zip(paths, level, strict=True))) for level in levels]
    keys = {path.rpartition(".")[2] for path in paths}
    is_said_once = len(keys) == 1 < len(paths) and not keys & {"use", "loss"} and all(len(text) == 1 for text in texts)
    name = keys.pop() if is_said_once else " + ".join(short[path] for path in paths)
    return name, tuple(", ".join(text) for text in texts)


def _key(cell: Entry, paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(json_text(cell.settings[path]) for path in paths)


def _placed(cells: Sequence[Entry], columns: Sequence[_Column]) -> dict[Place, Entry]:
    found: dict[Place, Entry] = {}
    for cell in cells:
        found.setdefault(tuple(column.levels.index(_key(cell, column.paths)) for column in columns), cell)
    return found


def _full(places: Collection[Place], sizes: Sequence[int]) -> list[list[int]]:
    """Levels to keep of each factor so that every combination is there, leaving out the emptiest level each time."""
    kept = [list(range(size)) for size in sizes]
    while any(place not in places for place in product(*kept)):
        have = [place for place in places if all(at in levels for at, levels in zip(place, kept, strict=True))]
        shares = {
            (axis, level): sum(place[axis] == level for place in have) * len(levels) / prod(map(len, kept))
            for axis, levels in enumerate(kept)
            for level in levels
        }
        axis, level = min(reversed(shares), key=lambda each: shares[each])
        kept[axis].remove(level)
    return kept
