"""Which paths of a space tell a sweep's best trials from all of them: PED-ANOVA, as Optuna has it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil, gcd
from typing import TYPE_CHECKING, Any

from deo_bench.reports.searched import Axis, Searched, Tried
from deo_bench.reports.trials import bounds_of, in_force, position, reached, sign

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

LEAST = 10
"""Finished trials: of fewer, no half is five, and what five trials share says little enough."""
_TOP, _LEAST_TOP = 0.1, 5
_DEPTH = 2
"""Trials that a path has to be in force in."""


@dataclass(frozen=True)
class Importances:
    """Of one aim: path -> its share of what all paths tell, the largest first; or why there are none.

    trials: finished ones with a value; top: the best of them; conditional: path -> in how many of them it was in force,
    where not in all; left_out: paths in force in too few, or that have one value only.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    trials: int = 0
    top: int = 0
    conditional: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def importances(searched: Searched, place: int) -> Importances:
    """The importances of a study's paths for one aim (Watanabe, Bansal and Hutter, IJCAI 2023, arXiv 2304.10255).

    How far the distribution of a path's values among the best trials differs from that among all (Pearson's divergence
    of two Parzen estimators), as a share of the sum over paths. A path that is not in force in every trial counts by
    the trials that have it. It draws nothing: the same trials give the same shares.
    """
    points = reached(searched, place)
    count = len(points)
    if count < LEAST:
        return Importances(
            reason=f"it takes {LEAST} finished trials, and there {'is 1' if count == 1 else f'are {count}'}",
            trials=count,
        )
    order = sign(searched.aims[place])
    ranked = sorted((value for _, value in points), key=lambda value: -order * value)
    wanted = max(ceil(_TOP * count), _LEAST_TOP)
    top = sum(order * value >= order * ranked[wanted - 1] for value in ranked)
    if top == count:
        return Importances(reason="too many trials have one value: no best ones stand out", trials=count)
    trials = [trial for trial, _ in points]
    axes = [axis for axis in searched.axes if len(in_force(axis, trials)) >= _DEPTH and _has_width(axis, trials)]
    raw = _of_optuna(axes, points, order, wanted / count) if axes else {}
    total = sum(raw.values())
    if not total > 0:
        return Importances(reason="no path tells the best trials from the others", trials=count, top=top)
    shares = {axis.path: raw[axis.path] / total for axis in axes if axis.path in raw}
    held = {axis.path: len(in_force(axis, trials)) for axis in axes}
    return Importances(
        dict(sorted(shares.items(), key=lambda each: -each[1])),
        trials=count,
        top=top,
        conditional={path: number for path, number in held.items() if number < count},
        left_out=tuple(axis.path for axis in searched.axes if axis.path not in shares),
    )


def _has_width(axis: Axis, trials: Sequence[Tried]) -> bool:
    low, high = bounds_of(axis, trials)
    return len(axis.choices) > 1 if axis.choices else low < high


def _of_optuna(
    axes: Sequence[Axis], points: Sequence[tuple[Tried, float]], order: int, quantile: float
) -> dict[str, float]:
    """Optuna's importances by path, of a study in memory that holds these trials."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    trials = [trial for trial, _ in points]
    spaces = {axis.path: _distribution(axis, trials) for axis in axes}
    # a hair below the share: Optuna rounds up what floats make of 5 / n times n
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile * (1 - 1e-9))
    with _silent():
        study = optuna.create_study(direction="maximize" if order > 0 else "minimize")
        study.add_trials([_frozen(axes, spaces, trial, value) for trial, value in points])
        return dict(get_param_importances(study, evaluator=evaluator))


@contextmanager
def _silent() -> Iterator[None]:
    """A block in which Optuna neither logs a new study nor warns of what the report says itself."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _distribution(axis: Axis, trials: Sequence[Tried]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.choices:
        return CategoricalDistribution(list(range(len(axis.choices))))
    low, high = bounds_of(axis, trials)
    values = {at for trial in trials if (at := position(axis, trial)) is not None}
    if (
        all(isinstance(trial.settings[axis.path], int) for trial in in_force(axis, trials))
        and low.is_integer()
        and high.is_integer()
    ):
        ends = int(low), int(high)
        return IntDistribution(*ends, log=axis.is_log, step=1 if axis.is_log else _step(values | {low, high}))
    return FloatDistribution(low, high, log=axis.is_log)


def _step(values: Iterable[float]) -> int:
    """The widest step that whole numbers have in common: what a space says by `step`."""
    first, *others = sorted(int(value) for value in values)
    return gcd(*(other - first for other in others)) or 1


def _frozen(axes: Sequence[Axis], spaces: Mapping[str, BaseDistribution], trial: Tried, value: float) -> FrozenTrial:
    from optuna.distributions import IntDistribution
    from optuna.trial import create_trial

    told: dict[str, Any] = {}
    for axis in axes:
        at = position(axis, trial)
        if at is not None:
            is_whole = axis.choices or isinstance(spaces[axis.path], IntDistribution)
            told[axis.path] = int(at) if is_whole else at
    return create_trial(params=told, distributions={path: spaces[path] for path in told}, value=value)
