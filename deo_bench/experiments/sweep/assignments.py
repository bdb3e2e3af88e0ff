"""The settings that a space is tried with before anything runs: few, with every end and every choice among them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from deo_bench.experiments.sweep.dimension import Dimension, same
from deo_bench.experiments.sweep.space import Space

MOST_PRODUCTS = 48
"""Combinations of choices that are tried all; of more, every choice is tried with some of the others."""

INSIDE = 1
"""Which of an interval's tries lies inside it, where one does."""


def assignments(space: Space) -> Iterator[dict[str, Any]]:
    """Settings as trials would suggest them, without repeats.

    Every choice, and of every interval what is tried of it, each in as few settings as it takes; then each end with all
    other intervals inside theirs; then the product of all choices, where it is small.
    """
    seen: list[dict[str, Any]] = []
    for settings in itertools.chain(_each_try(space), _each_end(space), products(space)):
        if settings not in seen:
            seen.append(settings)
            yield settings


def products(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination of choices with all intervals inside theirs; of a large product the first combination alone."""
    categorical = [each for each in space.dimensions if each.choices]
    is_small = math.prod(len(each.choices) for each in categorical) <= MOST_PRODUCTS
    for chosen in itertools.product(*(each.choices if is_small else each.choices[:1] for each in categorical)):
        yield _settings(space, dict(zip((each.path for each in categorical), chosen, strict=True)))


def pairs(space: Space, path: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Settings that differ in one path alone, where it is in force: each of its values but the first, and the first."""
    named = next(each for each in space.dimensions if each.path == path)
    for settings in products(space):
        whole = {**settings, **needed(space, named)}
        first, *others = named.tries()
        for value in others:
            yield _settings(space, {**whole, path: first}), _settings(space, {**whole, path: value})


def needed(space: Space, named: Dimension) -> dict[str, Any]:
    """Choices with which a dimension is in force: what its condition names, and what that depends on."""
    by_path = {each.path: each for each in space.dimensions}
    allowed: dict[str, tuple[Any, ...]] = {}
    waiting = [named]
    while waiting:
        for path, values in waiting.pop().when.items():
            before = allowed.get(path, values)
            allowed[path] = tuple(value for value in before if any(same(value, one) for one in values))
            waiting.append(by_path[path])
    return {path: values[0] for path, values in allowed.items()}


def _each_try(space: Space) -> Iterator[dict[str, Any]]:
    left = {each.path: list(range(len(each.tries()))) for each in space.dimensions}
    for each in space.dimensions:
        while left[each.path]:
            fixed = needed(space, each)
            settings: dict[str, Any] = {}
            for other in space.dimensions:
                if other.path in fixed:
                    settings[other.path] = fixed[other.path]
                elif other.in_force(settings):
                    number = left[other.path].pop(0) if left[other.path] else INSIDE
                    settings[other.path] = other.tries()[min(number, len(other.tries()) - 1)]
            yield settings


def _each_end(space: Space) -> Iterator[dict[str, Any]]:
    for each in space.dimensions:
        if not each.choices:
            for end in each.bounds:
                yield _settings(space, {**needed(space, each), each.path: each.value(end)})


def _settings(space: Space, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with what is fixed; else first choices, and points inside intervals."""
    settings: dict[str, Any] = {}
    for each in space.dimensions:
        if each.in_force(settings):
            usual = each.choices[0] if each.choices else each.tries()[INSIDE]
            settings[each.path] = fixed.get(each.path, usual)
    return settings
