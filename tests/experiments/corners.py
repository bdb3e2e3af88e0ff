"""Trials that suggest an end of everything: the settings at a corner of a space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deo_bench.experiments.file import Experiment
from deo_bench.experiments.grid import GridCell, cells_of
from deo_bench.experiments.sweep.space import space_of, tables_of
from deo_bench.recipe import Recipe, resolve


@dataclass(frozen=True)
class Corner:
    """In the place of a trial: the least of everything and the first choices, or the greatest and the last."""

    is_last: bool

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """The first or the last."""
        return choices[-1 if self.is_last else 0]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An end."""
        return high if self.is_last else low

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """An end."""
        return high if self.is_last else low


def corners_of(experiment: Experiment) -> Iterator[tuple[GridCell, dict[str, Any], Recipe]]:
    """Both corners in every cell, the first before the last: the cell, the recipe's tables and the recipe."""
    space = space_of(experiment)
    for cell in cells_of(experiment):
        for corner in (Corner(is_last=False), Corner(is_last=True)):
            tables = tables_of(experiment, cell, space.suggest(corner))
            yield cell, tables, resolve(tables, experiment.registry, str(experiment.path))
