"""Low-discrepancy points as a sampler whose place in the sequence is the trial's number.

Optuna's `QMCSampler` counts places in the study, and loses one with each trial that dies while it is drawn; it takes
its space from the first trial, and draws at random what a condition had left out of that. Here nothing is counted and
the whole space has its coordinates, used or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler


class Qmc(BaseSampler):
    """One point of a Sobol or Halton sequence. names: of all parameters, in an order that never changes."""

    def __init__(
        self, names: Sequence[str], place: int, seed: int, qmc_type: Literal["sobol", "halton"], scramble: bool
    ) -> None:
        self._names = list(names)
        self._place = place
        self._seed = seed
        self._kind = qmc_type
        self._scramble = scramble

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        """Nothing is drawn together: each parameter has its coordinate."""
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """The value at the parameter's coordinate."""
        return value_at(float(self._point()[self._names.index(param_name)]), param_distribution)

    def _point(self) -> np.ndarray:
        from scipy.stats import qmc

        make = qmc.Sobol if self._kind == "sobol" else qmc.Halton
        engine = make(len(self._names), scramble=self._scramble, seed=self._seed)
        if self._place:
            engine.fast_forward(self._place)
        return np.asarray(engine.random(1)[0])


def value_at(share: float, distribution: BaseDistribution) -> Any:
    """The value below which this share (0 to 1, without 1) of a distribution lies; a step counts half to each side."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(share * len(distribution.choices))]
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise TypeError(f"no point can be told of a {type(distribution).__name__}")
    low, high = distribution.low, distribution.high
    step = distribution.step
    if distribution.log:
        half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
        value = math.exp(math.log(low - half) + share * (math.log(high + half) - math.log(low - half)))
    elif step is None:
        value = low + share * (high - low)
    else:
        value = low + step * math.floor(share * (round((high - low) / step) + 1))
    value = min(max(value, low), high)
    return round(value) if isinstance(distribution, IntDistribution) else value
