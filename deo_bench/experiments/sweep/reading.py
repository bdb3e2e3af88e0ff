"""The table `[sweep.space]` as dimensions, or one line that names the key that is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from deo_bench.declarations import is_finite
from deo_bench.errors import UserError, nearest, shown
from deo_bench.experiments.sweep.conditions import in_order, read_when
from deo_bench.experiments.sweep.dimension import Dimension, same
from deo_bench.recipe.naming import json_text
from deo_bench.recipe.resolve import NAME
from deo_bench.recipe.toml import DEEPEST, refuse_strange

KEYS = ("low", "high", "log", "step", "integer", "choices", "when")
"""What a table of one path may say."""

LARGEST = 2**53
"""Of a whole number: larger ones are not all told apart by Optuna, which computes with floating point."""

EXPECTED = "expected a list of choices, or a table such as { low = 0.1, high = 1.0 }"


def read_dimensions(table: Mapping[str, Any], where: str) -> tuple[Dimension, ...]:
    """Every path of the space in an order in which what a condition names comes first. where: the file and the table.

    Raises:
        UserError: anything that is no space.
    """
    if not isinstance(table, Mapping) or not table:
        raise UserError(f"{where}: {EXPECTED} at dotted paths, got {shown(table)}")
    written: dict[str, Any] = {}
    for path, value in _flat(table, where, ()):
        if path in written:
            raise UserError(f"{where}.{path}: is there twice; say it once")
        written[path] = value
    plain = {path: _dimension(path, value, f"{where}.{path}") for path, value in written.items()}
    whole = []
    for path, each in plain.items():
        given = written[path]
        when = read_when(given["when"], plain, f"{where}.{path}.when") if _says(given, "when") else {}
        whole.append(replace(each, when=when))
    return in_order(whole, where)


def _says(value: Any, key: str) -> bool:
    return isinstance(value, Mapping) and key in value


def _flat(table: Mapping[str, Any], where: str, way: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Dotted paths and what is said of each; a table that says something of a path is told from one of more paths."""
    for key, value in table.items():
        words = [*way, *str(key).split(".")]
        if not all(NAME.fullmatch(word) for word in words) or len(words) > DEEPEST:
            told = shown(".".join(words))
            raise UserError(f"{where}: {told} is no dotted path such as objective.compress.weight")
        path = ".".join(words)
        if not isinstance(value, Mapping) or _is_dimension(value):
            yield path, value
        elif value:
            yield from _flat(value, where, tuple(words))
        else:
            raise UserError(f"{where}.{path}: {EXPECTED}, got an empty table")


def _is_dimension(table: Mapping[str, Any]) -> bool:
    """Whether a table says something of a path: its keys may be names in a path too (an option called `step`)."""
    plain = any(key in KEYS and not isinstance(value, Mapping | list) for key, value in table.items())
    return plain or "choices" in table or (isinstance(table.get("when"), Mapping) and len(table) > 1)


def _dimension(path: str, value: Any, where: str) -> Dimension:
    """What is said of one path, but for its conditions."""
    if isinstance(value, list | tuple):
        return Dimension(path, choices=_choices(value, where))
    if not isinstance(value, Mapping):
        raise UserError(f"{where}: {EXPECTED}, got {shown(value)}")
    for key in value:
        if key not in KEYS:
            raise UserError(f"{where}: unknown key {shown(str(key))}{nearest(str(key), KEYS)}")
    if "choices" not in value:
        return _interval(path, value, where)
    for key in value:
        if key not in ("choices", "when"):
            raise UserError(f"{where}: `{key}` is for numbers from low to high, and here are choices; say one of them")
    return Dimension(path, choices=_choices(value["choices"], f"{where}.choices"))


def _choices(given: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(given, list | tuple) or not given:
        raise UserError(f"{where}: expected a list of one choice or more, got {shown(given)}")
    for number, choice in enumerate(given):
        _check_keys(choice, where)
        refuse_strange(choice, where)
        if not is_finite(choice):
            raise UserError(f"{where}: a choice has to be finite, got {shown(choice)}")
        for other in given[:number]:
            _check_apart(other, choice, where)
    return tuple(given)


def _check_keys(value: Any, where: str, depth: int = 0) -> None:
    """Refuse keys in a choice that no line can show."""
    if depth > DEEPEST:
        raise UserError(f"{where}: a choice nested more than {DEEPEST} deep")
    for key in value if isinstance(value, Mapping) else ():
        if not isinstance(key, str) or not key or not key.isprintable():
            raise UserError(f"{where}: {shown(key)} is no key of a choice")
    inside: Sequence[Any] = (
        list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    )
    for item in inside:
        _check_keys(item, where, depth + 1)


def _check_apart(one: Any, other: Any, where: str) -> None:
    """Refuse choices that are one, and those that Optuna takes for one: it says 1 and `true` are equal."""
    if same(one, other):
        raise UserError(f"{where}: {shown(other)} is there twice; say it once")
    texts = [value if isinstance(value, str) else json_text(value) for value in (one, other)]
    is_plain = not any(isinstance(value, Mapping | list | tuple) for value in (one, other))
    if (is_plain and one == other) or (not is_plain and texts[0] == texts[1]):
        raise UserError(f"{where}: {shown(one)} and {shown(other)} cannot be told apart in a study; leave one out")


def _interval(path: str, table: Mapping[str, Any], where: str) -> Dimension:
    """Numbers from low to high."""
    for key in ("low", "high"):
        if key not in table:
            raise UserError(f"{where}: lacks {key} = …; an interval has low and high")
    is_log, is_integer = (_truth(table, key, where) for key in ("log", "integer"))
    low, high = (_number(table[key], f"{where}.{key}", is_integer) for key in ("low", "high"))
    if low >= high:
        told = "is not below" if low == high else "is above"
        raise UserError(f"{where}: low = {shown(table['low'])} {told} high = {shown(table['high'])}")
    if not math.isfinite(high - low):
        raise UserError(f"{where}: from {shown(table['low'])} to {shown(table['high'])} is too wide")
    if is_log and low <= 0:
        raise UserError(f"{where}.low: log = true needs low above 0, got {shown(table['low'])}")
    step = None
    if "step" in table:
        if is_log:
            raise UserError(f"{where}.step: log = true has no steps; leave one of them out")
        step = _number(table["step"], f"{where}.step", is_integer)
        _check_step(low, high, step, table, f"{where}.step")
    return Dimension(path, low, high, is_log, step, is_integer)


def _check_step(low: float, high: float, step: float, table: Mapping[str, Any], where: str) -> None:
    told = f"from low = {shown(table['low'])} to high = {shown(table['high'])}"
    if step <= 0:
        raise UserError(f"{where}: has to be above 0, got {shown(table['step'])}")
    ends = [Decimal(str(value)) for value in (low, high, step)]
    steps = (ends[1] - ends[0]) / ends[2]
    if steps != steps.to_integral_value():
        raise UserError(f"{where}: {shown(table['step'])} does not fit {told}: {float(steps):g} steps")
    if steps > LARGEST:
        raise UserError(f"{where}: {shown(table['step'])} makes too many steps {told}; leave it out")


def _truth(table: Mapping[str, Any], key: str, where: str) -> bool:
    given = table.get(key, False)
    if not isinstance(given, bool):
        raise UserError(f"{where}.{key}: expected true or false, got {shown(given)}")
    return given


def _number(given: Any, where: str, is_integer: bool) -> float:
    """A finite number; a whole one, as an integer, where only such count."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise UserError(f"{where}: expected a number, got {shown(given)}")
    if isinstance(given, float) and not math.isfinite(given):
        raise UserError(f"{where}: expected a finite number, got {shown(given)}")
    if (is_integer or isinstance(given, int)) and abs(given) > LARGEST:
        raise UserError(f"{where}: expected a whole number up to 2^53, got {shown(given)}")
    if not is_integer:
        return float(given)
    if given != int(given):
        raise UserError(f"{where}: integer = true needs whole numbers, got {shown(given)}")
    return int(given)
