"""Whether a trial is given up: the pruner's verdict on what it has measured, the same however often it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.pruners import HyperbandPruner
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

_RUNG = "completed_rung_"
"""How Optuna's successive halving calls what it keeps of a trial that came to a rung."""


def verdict(study: optuna.Study, trial: FrozenTrial, due: Sequence[int]) -> tuple[bool, dict[str, Any]]:
    """Whether the study's pruner gives this running trial up, and what it then keeps of it in the study.

    due: the percents at which trials are measured.

    Hyperband judges a trial once at a rung: asked again, it judges the next. A worker that died between its verdict and
    the end of the trial would thus have saved it. So Hyperband is asked in memory, about the whole trial anew. It would
    also take the first measurement after a rung for that at the rung, however late. A trial that goes on from a run
    that was trained before has none at the rungs behind it: it is not judged there, nor are others held against it.
    """
    if not isinstance(study.pruner, HyperbandPruner):
        return study.pruner.prune(study, trial), {}
    trials = [_begun(trial) if one.number == trial.number else one for one in study.get_trials(deepcopy=False)]
    copy = _Copy(study, trials, trial.number)
    reached = _reached(study, trial, sorted({*due, *trial.intermediate_values}))
    is_given_up = False
    for percent, value in sorted(trial.intermediate_values.items()):
        for rung in range(reached[percent]):
            if any(reached[early] > rung for early in due if early < percent):
                copy.pass_by(rung)
        is_given_up = copy.asked(percent, value)
    return is_given_up, {key: value for key, value in copy.kept.items() if value is not None}


def _reached(study: optuna.Study, trial: FrozenTrial, percents: Sequence[int]) -> dict[int, int]:
    """How many rungs a trial of this number has come to, by percent: told by one that is alone, and never given up."""
    before = [create_trial(state=TrialState.FAIL)] * trial.number
    alone = _Copy(study, [*before, _begun(trial)], trial.number)
    found = {}
    for percent in percents:
        known = -1
        while len(alone.kept) > known:
            known = len(alone.kept)
            alone.asked(percent, 0.0)
        found[percent] = known
    return found


class _Copy:
    """One trial of a copy of a study in memory. Of the study's name: by it and the number Hyperband has its cuts."""

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial], number: int) -> None:
        self._storage = InMemoryStorage()
        self._study = optuna.create_study(
            storage=self._storage, study_name=study.study_name, directions=study.directions, pruner=study.pruner
        )
        self._study.add_trials(trials)
        self._trial = self._storage.get_trial_id_from_study_id_trial_number(
            self._storage.get_study_id_from_name(study.study_name), number
        )

    @property
    def kept(self) -> dict[str, Any]:
        """What is kept of the trial at each rung that it came to; none where it passed by."""
        told = self._storage.get_trial_system_attrs(self._trial)
        return {key: value for key, value in told.items() if key.startswith(_RUNG)}

    def pass_by(self, rung: int) -> None:
        """Have a rung behind it, where it came to none there before."""
        if f"{_RUNG}{rung}" not in self.kept:
            self._storage.set_trial_system_attr(self._trial, f"{_RUNG}{rung}", None)

    def asked(self, percent: int, value: float) -> bool:
        """Whether the trial is given up with this measurement."""
        self._storage.set_trial_intermediate_value(self._trial, percent, value)
        return self._study.pruner.prune(self._study, self._storage.get_trial(self._trial))


def _begun(trial: FrozenTrial) -> FrozenTrial:
    """A trial as it was before it measured anything."""
    return create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
