"""Main effects and interactions of a grid in which every setting of one factor meets every setting of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import prod
from typing import Any

from deo_bench.reports.statistics.interval import Difference, contrast
from deo_bench.reports.statistics.parts import Measured

GridCell = tuple[Mapping[str, Any], Sequence[Measured]]


class NotFactorialError(ValueError):
    """The cells are no full product of the factors that vary; the message says what is missing."""


@dataclass(frozen=True)
class Effect:
    """What levels do against the first levels of their factors, averaged over all settings of the other factors.

    One factor: a main effect; two: an interaction, the difference that the second's level makes to what the first's
    does. firsts: the levels that it is against.
    """

    factors: tuple[str, ...]
    levels: tuple[Any, ...]
    firsts: tuple[Any, ...]
    difference: Difference

    @property
    def is_interaction(self) -> bool:
        """Whether it is of two factors."""
        return len(self.factors) == 2


def effects(cells: Sequence[GridCell]) -> list[Effect]:
    """The main effects of every factor that varies, then all interactions of two.

    cells: the settings by factor, and the scores, of each; levels stand in the order in which they come. A
    NotFactorialError where the grid has holes, a combination twice, or nothing that varies.
    """
    levels = _levels(cells)
    table = _table(cells, levels)
    made = []
    for size in (1, 2):
        for factors in combinations(levels, size):
            for chosen in product(*(levels[factor][1:] for factor in factors)):
                firsts = tuple(levels[factor][0] for factor in factors)
                sides = _sides(table, list(levels), factors, chosen, firsts)
                made.append(Effect(factors, chosen, firsts, contrast(sides)))
    return made


def _levels(cells: Sequence[GridCell]) -> dict[str, list[Any]]:
    """The levels of each factor that has several."""
    made: dict[str, list[Any]] = {}
    for settings, _ in cells:
        if settings.keys() != cells[0][0].keys():
            odd = sorted(settings.keys() ^ cells[0][0].keys())
            raise NotFactorialError(f"not every cell sets {', '.join(odd)}")
        for factor, level in settings.items():
            known = made.setdefault(factor, [])
            if repr(level) not in map(repr, known):
                known.append(level)
    made = {factor: known for factor, known in made.items() if len(known) > 1}
    if not made:
        raise NotFactorialError("no setting varies")
    return made


def _table(cells: Sequence[GridCell], levels: Mapping[str, list[Any]]) -> dict[tuple[str, ...], Sequence[Measured]]:
    """The scores by the levels of the factors that vary, in their order."""
    made: dict[tuple[str, ...], Sequence[Measured]] = {}
    for settings, scores in cells:
        place = tuple(repr(settings[factor]) for factor in levels)
        told = ", ".join(f"{factor}={settings[factor]}" for factor in levels)
        if place in made:
            raise NotFactorialError(f"two cells have {told}")
        if not scores:
            raise NotFactorialError(f"the cell {told} has no score")
        made[place] = scores
    full = prod(map(len, levels.values()))
    if len(made) < full:
        raise NotFactorialError(f"{len(made)} of the {full} combinations of {', '.join(levels)} are there")
    return made


def _sides(
    table: Mapping[tuple[str, ...], Sequence[Measured]],
    names: Sequence[str],
    factors: Sequence[str],
    chosen: Sequence[Any],
    firsts: Sequence[Any],
) -> list[tuple[float, Sequence[Measured]]]:
    """Plus one where a factor has the chosen level and minus one where its first, multiplied over the factors."""
    signs = [{repr(first): -1, repr(level): 1} for first, level in zip(firsts, chosen, strict=True)]
    places = [names.index(factor) for factor in factors]
    weights = {key: prod(sign.get(key[place], 0) for sign, place in zip(signs, places, strict=True)) for key in table}
    others = sum(1 for weight in weights.values() if weight) / 2 ** len(factors)
    return [(weight / others, table[key]) for key, weight in weights.items() if weight]
