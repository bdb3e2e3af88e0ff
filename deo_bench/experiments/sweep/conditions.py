"""When a path of a space is in force: conditions on choices of other paths, and the order that they ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deo_bench.errors import UserError, nearest, shown
from deo_bench.experiments.sweep.dimension import Dimension, same

Conditions = dict[str, tuple[Any, ...]]


def read_when(table: Any, space: Mapping[str, Dimension], where: str) -> Conditions:
    """The choices by path with which a path is in force. space: every path, whose own conditions do not matter here."""
    if not isinstance(table, Mapping) or not table:
        raise UserError(
            f'{where}: expected a table such as {{ objective.optical.loss = "smooth_l1" }}, got {shown(table)}'
        )
    return {path: _among(given, space[path], f"{where}.{path}") for path, given in _named(table, space, where, "")}


def in_order(dimensions: Sequence[Dimension], where: str) -> tuple[Dimension, ...]:
    """The dimensions with what each depends on before it, else by path: samplers draw in this order, and lines of a
    file may change places while a study goes on.

    What stands above a path (`student.stem` above `student.stem.dim`) comes before it too: it would replace it.
    """
    by_path = {each.path: each for each in sorted(dimensions, key=lambda each: each.path)}
    placed: dict[str, Dimension] = {}
    for each in by_path.values():
        _place(each, by_path, placed, (), where)
    _check_reachable(placed, where)
    return tuple(placed.values())


def _place(
    each: Dimension, by_path: Mapping[str, Dimension], placed: dict[str, Dimension], way: tuple[str, ...], where: str
) -> None:
    if each.path in placed:
        return
    if each.path in way:
        told = " -> ".join((*way[way.index(each.path) :], each.path))
        raise UserError(f"{where}.{way[-1]}.when: conditions in a circle: {told}")
    above = [path for path in by_path if each.path.startswith(f"{path}.")]
    for path in (*sorted(each.when), *above):
        _place(by_path[path], by_path, placed, (*way, each.path), where)
    placed[each.path] = each


def _named(
    table: Mapping[str, Any], space: Mapping[str, Dimension], where: str, prefix: str
) -> Iterator[tuple[str, Any]]:
    """Paths of the space and what is asked of each; what stands at such a path is a value, a table too."""
    for key, value in table.items():
        path = f"{prefix}{key}"
        if path in space:
            yield path, value
        elif isinstance(value, Mapping) and value:
            yield from _named(value, space, where, f"{path}.")
        else:
            raise UserError(f"{where}: {shown(path)} is no path of the space{nearest(path, space)}")


def _among(given: Any, named: Dimension, where: str) -> tuple[Any, ...]:
    """The choices that a condition names: one, or a list of them."""
    if not named.choices:
        raise UserError(f"{where}: a condition is on choices, and {named.path} is a number from low to high")
    if any(same(given, choice) for choice in named.choices):
        return (given,)
    values = tuple(given) if isinstance(given, list | tuple) and given else (given,)
    for value in values:
        if not any(same(value, choice) for choice in named.choices):
            known = [choice for choice in named.choices if isinstance(choice, str)]
            told = (
                nearest(str(value), known)
                if len(known) == len(named.choices)
                else f"; there are: {shown(list(named.choices))}"
            )
            raise UserError(f"{where}: {shown(value)} is none of the choices there{told}")
    return values


def _check_reachable(placed: Mapping[str, Dimension], where: str) -> None:
    """Refuse conditions that no choices fulfil together: what they need of one path has nothing in common."""
    asked: dict[str, Conditions] = {}
    for path, each in placed.items():
        asked[path] = {}
        for named, values in each.when.items():
            for other, wanted in {**asked[named], named: values}.items():
                before = asked[path].get(other, wanted)
                asked[path][other] = tuple(value for value in before if any(same(value, one) for one in wanted))
                if not asked[path][other]:
                    raise UserError(f"{where}.{path}.when: never in force: no choice of {other} fulfils all of it")
