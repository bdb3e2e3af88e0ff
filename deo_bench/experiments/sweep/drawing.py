"""A trial is drawn beside its study, in memory, and is then put there whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from deo_bench.experiments.sweep.options import quietly
from deo_bench.experiments.sweep.pruners import pruner_of
from deo_bench.experiments.sweep.samplers import sampler_of
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.experiments.sweep.space import Space

_ASKED_FOR = "fixed_params"
"""Where Optuna keeps what a trial was asked to be."""


def drawn(
    study: optuna.Study,
    trials: Sequence[FrozenTrial],
    sweep: Sweep,
    space: Space,
    default: Mapping[str, Any] | None,
    told: Mapping[str, Any],
) -> FrozenTrial:
    """The next trial of a study, running, with all its parameters and what its sampler remembers of it.

    trials: all of the study so far; default: parameters of the first trial in place of a draw; told: user attributes.

    Samplers write to the study while they draw: a place in a sequence, what is drawn together, the parameters one by
    one. A process that dies then leaves traces, and whoever draws again draws something else. So it is done on a copy
    of the study, and the trial is put in place with one write, which is there or not.
    """
    sampler = sampler_of(sweep, space, len(trials), ahead=default is not None)
    copy = optuna.create_study(
        study_name=study.study_name, directions=study.directions, sampler=sampler, pruner=pruner_of(sweep)
    )
    for trial in trials:
        # One that somebody put into the queue by hand would be taken for the one to be drawn.
        copy.add_trial(trial if trial.state != TrialState.WAITING else create_trial(state=TrialState.FAIL))
    if default is not None and not trials:
        copy.enqueue_trial(dict(default))
    quietly(lambda: space.suggest(copy.ask()))
    found = copy.trials[-1]
    return create_trial(
        state=TrialState.RUNNING,
        params=found.params,
        distributions=found.distributions,
        system_attrs={name: value for name, value in found.system_attrs.items() if name != _ASKED_FOR},
        user_attrs=dict(told),
    )
