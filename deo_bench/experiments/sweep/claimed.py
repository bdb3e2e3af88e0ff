"""A trial that this process works on: what it reports, whether it goes on, and how it ends, once."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from deo_bench.errors import StoreError
from deo_bench.experiments.sweep.storage import answering
from deo_bench.experiments.sweep.verdict import verdict
from deo_bench.store.lease import Lease, LeaseLost


class Claimed:
    """A claimed trial.

    number: in its study; params: Optuna's, by path; settings: path -> value, as they are laid over the recipe;
    measured: percent of the training -> what a worker before this one had measured there; due: percents at which any
    trial of the study is measured, where its training does not begin later; deaths: how many workers
    left it without letting it go since it last got further.

    Every write first makes sure that the claim stands, and raises LeaseLost where another process has taken it over.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: BaseStorage,
        trial: FrozenTrial,
        settings: Mapping[str, Any],
        lease: Lease,
        due: Sequence[int],
    ) -> None:
        self.number = trial.number
        self.params = dict(trial.params)
        self.settings = dict(settings)
        self.measured = dict(trial.intermediate_values)
        self.deaths = int(trial.user_attrs.get("deaths", 0))
        self.is_default = bool(trial.user_attrs.get("default"))
        self._spent, self._began = float(trial.user_attrs.get("seconds", 0.0)), time.monotonic()
        self._study = study
        self._storage = storage
        self._lease = lease
        self._due = due
        self._id = storage.get_trial_id_from_study_id_trial_number(
            storage.get_study_id_from_name(study.study_name), trial.number
        )

    def note(self, run: str, worker: str = "") -> None:
        """Put on record which run it is, and who works on it."""
        self._attribute("run", run)
        if worker:
            self._attribute("worker", worker)

    def mourn(self) -> None:
        """Put on record that the worker before this one died over it."""
        self.deaths += 1
        self._attribute("deaths", self.deaths)

    def advanced(self) -> None:
        """It has got further than those who died over it: their deaths count no longer."""
        if self.deaths:
            self.deaths = 0
            self._attribute("deaths", 0)

    def spent(self, seconds: float, cost_nothing: bool = False) -> None:
        """Put on record how long it took, with what it took workers before this one, and whether its run was there."""
        self._attribute("seconds", round(self._spent + seconds, 3))
        if cost_nothing:
            self._attribute("cost_nothing", True)

    def report(self, percent: int, value: float) -> None:
        """What was measured at this percent (1 to 100) of the training; one that was reported before is kept."""
        if percent not in self.measured:
            self._write(lambda: self._storage.set_trial_intermediate_value(self._id, percent, value))
            self.measured[percent] = value
            self.advanced()

    def should_prune(self) -> bool:
        """Whether the pruner gives it up, by what it has reported; never of several objectives."""
        if len(self._study.directions) > 1:
            return False
        with answering(self._study.study_name):
            trial = self._storage.get_trial(self._id)
            is_given_up, kept = verdict(self._study, trial, self._due)
        for key, value in kept.items():
            if trial.system_attrs.get(key) != value:
                self._write(partial(self._storage.set_trial_system_attr, self._id, key, value))
        return is_given_up

    def complete(self, values: Sequence[float]) -> None:
        """It ended with these values, one an objective; one that is not finite is a failure."""
        if all(math.isfinite(value) for value in values):
            self._end(TrialState.COMPLETE, list(values))
        else:
            self.fail(f"its values are {', '.join(map(str, values))}")

    def prune(self) -> None:
        """It was given up on the way."""
        self._end(TrialState.PRUNED)

    def fail(self, reason: str) -> None:
        """It cannot be carried out; reason: one line."""
        self._attribute("reason", reason)
        self._end(TrialState.FAIL)

    def release(self) -> None:
        """Stop: the trial stays as it is, and the next worker takes it up."""
        with contextlib.suppress(StoreError):  # the time it took is for eyes
            self.spent(time.monotonic() - self._began)
        self._lease.release()

    def _end(self, state: TrialState, values: list[float] | None = None) -> None:
        self._write(lambda: self._study.tell(self.number, values, state, skip_if_finished=True))
        self._lease.release()

    def _attribute(self, key: str, value: Any) -> None:
        self._write(lambda: self._storage.set_trial_user_attr(self._id, key, value))

    def _write(self, write: Callable[[], object]) -> None:
        try:
            self._lease.check()
        except LeaseLost:
            told = f"trial {self.number} of {self._study.study_name} was taken over by another process"
            raise LeaseLost(f"{told}; this one stops writing to it") from None
        # One that was ended by somebody else meanwhile stays as it was ended: it counts once.
        with answering(self._study.study_name), contextlib.suppress(UpdateFinishedTrialError):
            write()
