"""Pruners by name: which trials are given up on the way, by what they measured at the same percent of the training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner

from deo_bench.declarations import Count, Whole
from deo_bench.experiments.sweep.options import chosen, defaults_of, made, told
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.recipe.models import Table

WHOLE = 100
"""A whole training; what pruners call a step or a resource is a percent of it."""

Percent = Annotated[Whole, Ge(0), Le(WHOLE)]


class Nothing(Table):
    """No options."""


class Median(Table):
    """Give up what is worse than the median of the trials that were completed. Optuna's names; steps are percents."""

    n_startup_trials: Annotated[Whole, Ge(0)] | None = None
    n_warmup_steps: Percent | None = None
    interval_steps: Annotated[Whole, Ge(1), Le(WHOLE)] | None = None
    n_min_trials: Count | None = None


class Hyperband(Table):
    """Successive halving with several first cuts. Optuna's names; resources are percents.

    min_resource: the first measurement where none is said.
    """

    min_resource: Annotated[Whole, Ge(1), Le(WHOLE)] | None = None
    reduction_factor: Annotated[Whole, Ge(2)] | None = None
    bootstrap_count: Annotated[Whole, Ge(0)] | None = None


PRUNERS: dict[str, type[Table]] = {"none": Nothing, "median": Median, "hyperband": Hyperband}


def prunes(sweep: Sweep) -> bool:
    """Whether trials can be given up at all; only then anything is measured on the way."""
    return _name(sweep) != "none"


def pruner_of(sweep: Sweep, where: str = "sweep.pruner") -> BasePruner:
    """The pruner of a sweep. where: file and key, for what is wrong with its options, which is a UserError."""
    name, options = chosen(sweep.pruner, PRUNERS, "pruner", where)
    if name == "median":
        return made(lambda: MedianPruner(**options), where)
    if name == "hyperband":
        options.setdefault("min_resource", _first(sweep))
        return made(lambda: HyperbandPruner(max_resource=WHOLE, **options), where)
    return NopPruner()


def told_pruner(sweep: Sweep) -> dict[str, Any]:
    """The pruner as JSON, for a study's identity."""
    name, options = chosen(sweep.pruner, PRUNERS, "pruner", "sweep.pruner")
    usual = {"median": defaults_of(MedianPruner), "hyperband": defaults_of(HyperbandPruner)}.get(name, {})
    return told(name, options, usual | {"min_resource": _first(sweep)})


def _first(sweep: Sweep) -> int:
    """The percent of the first measurement."""
    return max(1, round(WHOLE * sweep.measure.every))


def _name(sweep: Sweep) -> Literal["none"] | str:
    return chosen(sweep.pruner, PRUNERS, "pruner", "sweep.pruner")[0]
