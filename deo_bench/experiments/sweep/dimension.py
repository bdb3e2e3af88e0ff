"""One path of a space: an interval or choices, when it is in force, and what Optuna calls it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from deo_bench.recipe.checking import plain
from deo_bench.recipe.naming import NAMING, json_text, value_text, value_texts
from deo_bench.reports.searched import Axis

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Told = bool | int | float | str
"""What Optuna keeps of a value."""

ALMOST = 1e-8
"""Of a step: how far a value may be from the steps of an interval (Optuna's own tolerance)."""

FEW = 12
"""Values of an interval that are all tried before anything runs: a part may refuse those between (heads of a width)."""

WITHIN = 0.382
"""Where in an interval its interior point is: beside the middle, which is a whole number too often."""


class Suggests(Protocol):
    """What suggests values: one of Optuna's trials."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A real number."""


@dataclass(frozen=True)
class Dimension:
    """A path and what is tried there: `choices` where there are any, else numbers from `low` to `high`, both included.

    step: between numbers (of whole ones 1 where none is said); choices: as written, tables and lists too; when: the
    choices of other paths with which this one is in force, all of them at once.
    """

    path: str
    low: float | None = None
    high: float | None = None
    is_log: bool = False
    step: float | None = None
    is_integer: bool = False
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of an interval."""
        assert self.low is not None and self.high is not None, f"{self.path} has choices, not ends"
        return self.low, self.high

    @property
    def spacing(self) -> float | None:
        """Between two numbers of an interval, none where any number will do."""
        return self.step or (1 if self.is_integer else None)

    @property
    def names(self) -> tuple[Told, ...]:
        """What Optuna calls the choices: plain values are themselves, tables and lists their canonical JSON."""
        return tuple(_told(choice) for choice in self.choices)

    @property
    def distribution(self) -> BaseDistribution:
        """The distribution as Optuna has it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.names)
        low, high = self.bounds
        if self.is_integer:
            return IntDistribution(int(low), int(high), log=self.is_log, step=int(self.spacing or 1))
        return FloatDistribution(low, high, log=self.is_log, step=self.step)

    def suggest(self, trial: Suggests) -> Any:
        """The value that a trial suggests, as it is laid over a recipe."""
        if self.choices:
            return self.value(trial.suggest_categorical(self.path, self.names))
        low, high = self.bounds
        if self.is_integer:
            step = int(self.spacing or 1)
            return self.value(trial.suggest_int(self.path, int(low), int(high), step=step, log=self.is_log))
        return self.value(trial.suggest_float(self.path, low, high, step=self.step, log=self.is_log))

    def value(self, told: Any) -> Any:
        """The value that Optuna's stands for; steps of a tenth are told without the noise of binary fractions."""
        if self.choices:
            return self.choices[self.names.index(told)]
        if self.is_integer:
            return int(told)
        if self.step is None:
            return float(told)
        low, step = Decimal(str(self.low)), Decimal(str(self.step))
        return float(low + step * round((Decimal(str(told)) - low) / step))

    def told(self, found: Any) -> Told | None:
        """What Optuna calls a value that a resolved recipe has, or none where it lies outside.

        A choice that names a part is the recipe's where every option that it says is; the one that says most is taken.
        """
        if self.choices:
            kept = [choice for choice in self.choices if says(choice, found)]
            return _told(max(kept, key=lambda choice: len(json_text(choice)))) if kept else None
        if isinstance(found, bool) or not isinstance(found, int | float):
            return None
        low, high = self.bounds
        if not low <= found <= high:
            return None
        step = self.spacing
        if step is not None and abs((found - low) / step - round((found - low) / step)) > ALMOST:
            return None
        return int(found) if self.is_integer else float(found)

    def in_force(self, settings: Mapping[str, Any]) -> bool:
        """Whether the path counts, with the settings of the paths before it."""
        return all(
            path in settings and any(same(settings[path], value) for value in values)
            for path, values in self.when.items()
        )

    def tries(self) -> tuple[Any, ...]:
        """Every choice; of an interval every value where they are few, else both ends and a point between them."""
        if self.choices:
            return self.choices
        if (self.count() or FEW + 1) <= FEW:
            return tuple(self.value(told) for told in self.every())
        low, high = self.bounds
        inside = low + WITHIN * (high - low)
        if self.is_log:
            inside = math.exp(math.log(low) + WITHIN * (math.log(high) - math.log(low)))
        short = float(f"{inside:.4g}")
        inside = short if low < short < high else inside
        step = self.spacing
        if step is not None:
            inside = low + step * round((inside - low) / step)
        return tuple(self.value(point) for point in (low, inside, high))

    def count(self) -> int | None:
        """How many values there are, none where they cannot be counted."""
        if self.choices:
            return len(self.choices)
        low, high = self.bounds
        step = self.spacing
        return None if step is None else round((high - low) / step) + 1

    def every(self) -> Iterator[Told]:
        """All values as Optuna calls them, of a path that has so many."""
        if self.choices:
            yield from self.names
            return
        step = self.spacing or 1
        for number in range(self.count() or 0):
            yield self.value(self.bounds[0] + step * number)

    def axis(self, name: str) -> Axis:
        """The path as figures show it."""
        texts = value_texts([plain(choice) for choice in self.choices])
        choices = tuple(texts[json_text(plain(choice))] for choice in self.choices)
        return Axis(self.path, name, self.is_log, self.low, self.high, choices)

    def as_json(self) -> dict[str, Any]:
        """What the dimension is, for a study's identity: nothing that is left out is written."""
        conditions = {path: plain(values) for path, values in sorted(self.when.items())}
        if self.choices:
            told: dict[str, Any] = {"choices": plain(self.choices)}
        else:
            told = {"low": self.low, "high": self.high}
            told |= {"log": True} if self.is_log else {}
            told |= {"integer": True} if self.is_integer else {}
            told |= {"step": self.step} if self.step is not None else {}
        return told | ({"when": conditions} if conditions else {})


def same(one: Any, other: Any) -> bool:
    """Whether two values as written are one: 1 is 1.0 and is not `true`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def says(written: Any, resolved: Any) -> bool:
    """Whether what is written is what a resolved recipe has, whose defaults and options it need not say."""
    opened = _opened(resolved)
    if opened is not None and isinstance(written, str):
        return written in [opened[key] for key in NAMING if key in opened]
    if opened is not None and isinstance(written, Mapping):
        return all(key in opened and says(value, opened[key]) for key, value in written.items())
    if isinstance(resolved, list | tuple) and isinstance(written, list | tuple):
        return len(written) == len(resolved) and all(map(says, written, resolved))
    if isinstance(resolved, list | tuple) and len(resolved) == 1:  # one name for a list of names
        return says(written, resolved[0])
    return same(written, resolved) or (resolved is None and value_text(written) == "none")


def _opened(table: Any) -> dict[str, Any] | None:
    """A table with its part's options beside its own keys, as people write it."""
    if not isinstance(table, Mapping):
        return None
    options = table.get("options")
    if not isinstance(options, Mapping):
        return dict(table)
    return {**{key: value for key, value in table.items() if key != "options"}, **options}


def _told(choice: Any) -> Told:
    value = plain(choice)
    return value if isinstance(value, Told) else json_text(value)
