"""Whether a trial is given up: the pruner's verdict on what it has measured, the same however often it is asked."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.pruners import HyperbandPruner
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

_RUNG = "completed_rung_"
"""How Optuna's successive halving calls what it keeps of a trial that came to a rung."""


def verdict(study: optuna.Study, trial: FrozenTrial) -> tuple[bool, dict[str, Any]]:
    """Whether the study's pruner gives this running trial up, and what it then keeps of it in the study.

    Hyperband judges a trial once at a rung: asked again, it judges the next. A worker that died between its verdict and
    the end of the trial would thus have saved it. So Hyperband is asked in memory, about the whole trial anew.
    """
    if not isinstance(study.pruner, HyperbandPruner):
        return study.pruner.prune(study, trial), {}
    storage = InMemoryStorage()
    copy = optuna.create_study(
        storage=storage, study_name=study.study_name, directions=study.directions, pruner=study.pruner
    )
    for other in study.get_trials(deepcopy=False):
        copy.add_trial(_begun(trial) if other.number == trial.number else other)
    own = storage.get_trial_id_from_study_id_trial_number(
        storage.get_study_id_from_name(study.study_name), trial.number
    )
    is_given_up = False
    for percent, value in sorted(trial.intermediate_values.items()):
        storage.set_trial_intermediate_value(own, percent, value)
        is_given_up = copy.pruner.prune(copy, storage.get_trial(own))
    kept = storage.get_trial_system_attrs(own)
    return is_given_up, {key: value for key, value in kept.items() if key.startswith(_RUNG)}


def _begun(trial: FrozenTrial) -> FrozenTrial:
    """A trial as it was before it measured anything."""
    return create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
