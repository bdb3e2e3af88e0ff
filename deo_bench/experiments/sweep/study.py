"""A study: its trials, which of them a worker does next, and when it is over.

Workers of one study share a store. A trial is drawn and put in place under the study's lock, and its worker holds a
claim on it (`deo_bench/store/lease.py`) as long as it works; a trial that runs in the study while nobody holds its
claim is one of a worker that died, and is gone on with under its own number.
"""

from __future__ import annotations

import math
import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from deo_bench.errors import StoreError
from deo_bench.experiments.sweep.claimed import Claimed
from deo_bench.experiments.sweep.drawing import drawn
from deo_bench.experiments.sweep.options import quietly
from deo_bench.experiments.sweep.pruners import pruner_of
from deo_bench.experiments.sweep.samplers import is_grid
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.experiments.sweep.space import Space
from deo_bench.experiments.sweep.storage import answering
from deo_bench.files import one_at_a_time, write_whole
from deo_bench.recipe.naming import json_text
from deo_bench.reports.searched import Aim
from deo_bench.store.lease import BEAT, PATIENCE, Lease

_DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}


class Study:
    """A study of a sweep, open in this process."""

    def __init__(
        self,
        study: optuna.Study,
        storage: BaseStorage,
        sweep: Sweep,
        space: Space,
        place: Path,
        default: Mapping[str, Any] | None = None,
        beat: float = BEAT,
        patience: float = PATIENCE,
    ) -> None:
        self.name = study.study_name
        self._study = study
        self._storage = storage
        self._sweep = sweep
        self._space = space
        self._place = place
        self._default = None if is_grid(sweep) else default
        self._points = math.prod(map(len, space.grid().values())) if is_grid(sweep) else None
        self._beat = beat
        self._patience = patience
        self._watched: dict[int, Lease] = {}

    @classmethod
    def open(
        cls,
        storage: BaseStorage,
        name: str,
        sweep: Sweep,
        space: Space,
        aims: Sequence[Aim],
        default: Mapping[str, Any] | None = None,
        *,
        place: Path,
        **leases: float,
    ) -> Study:
        """Make a study, or go on with the one of this name.

        name: also says what it is of, by a digest; aims: its objectives; default: parameters of the recipe as it stands
        (`default_of`), which the first trial has; what they leave open is drawn. Of a grid the points are all
        there is, so none is asked for.
        place: the sweep's folder in the store (`sweeps_folder`); leases: `beat` and `patience` of the claims, seconds.

        Raises StoreError where a study of this name is another's, or is worked on from another store.
        """
        with one_at_a_time(place / _stem(name)), answering(name):
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[_DIRECTIONS[aim.direction] for aim in aims],
                sampler=RandomSampler(seed=0),  # asked for nothing: trials are drawn beside the study
                pruner=pruner_of(sweep),
                load_if_exists=True,
            )
            _introduce(study, sweep, space, aims, _store_id(place))
        return cls(study, storage, sweep, space, place, default, **leases)

    @property
    def wanted(self) -> int:
        """Trials that it ends with: what the sweep gives it, and of a grid no more than its points."""
        return self._sweep.trials if self._points is None else min(self._sweep.trials, self._points)

    @property
    def finished(self) -> int:
        """Trials that ended, in whichever way."""
        return sum(trial.state.is_finished() for trial in self.trials())

    @property
    def is_over(self) -> bool:
        """Whether all its trials have ended."""
        return self.finished >= self.wanted

    def trials(self) -> list[FrozenTrial]:
        """All trials by number, as they stand."""
        with answering(self.name):
            return self._study.get_trials()

    def best(self, k: int) -> list[int]:
        """Numbers of the k best trials that were completed, no settings twice.

        Of several objectives: of those that no other beats in all, best in the first objective first.
        """
        signs = [-1 if way == StudyDirection.MAXIMIZE else 1 for way in self._study.directions]
        ranked = sorted(
            ([sign * value for sign, value in zip(signs, trial.values, strict=True)], trial.number, trial)
            for trial in self.trials()
            if trial.state == TrialState.COMPLETE
        )
        chosen: dict[str, int] = {}
        for costs, number, trial in ranked:
            if not any(_beats(other, costs) for other, _, _ in ranked) or len(signs) == 1:
                chosen.setdefault(json_text(trial.params), number)
        return list(chosen.values())[:k]

    def claim(self) -> Claimed | None:
        """The next trial for this process: first one whose worker died, else a new one; none where there is none now.

        To be called again while others work: what they hold may come free.
        """
        with one_at_a_time(self._place / _stem(self.name)), answering(self.name):
            trials = self._study.get_trials(deepcopy=False)
            running = [trial for trial in trials if trial.state == TrialState.RUNNING]
            for trial in running:
                lease = self._watched.setdefault(trial.number, self._lease(trial.number))
                if lease.take() and (claimed := self._taken_up(trial, self._watched.pop(trial.number))) is not None:
                    return claimed
            if len(running) + sum(trial.state.is_finished() for trial in trials) >= self.wanted:
                return None
            trial = self._put(trials)
            lease = self._lease(trial.number)
            return self._claimed(trial, lease) if lease.take() else None

    def _taken_up(self, seen: FrozenTrial, lease: Lease) -> Claimed | None:
        """A trial whose claim has just been taken; none where its worker had ended it since it was looked at."""
        try:
            trial = next(each for each in self._study.get_trials(deepcopy=False) if each.number == seen.number)
            if trial.state == TrialState.RUNNING:
                claimed = self._claimed(trial, lease)
                if lease.is_taken_over:
                    claimed.mourn()
                return claimed
        except BaseException:
            lease.release()
            raise
        lease.release()
        return None

    def _put(self, trials: Sequence[FrozenTrial]) -> FrozenTrial:
        mark = uuid4().hex
        told: dict[str, Any] = {"worker": f"{socket.gethostname()}:{os.getpid()}", "mark": mark}
        new = drawn(self._study, trials, self._sweep, self._space, self._default, told)
        if self._default is not None and not trials:
            new.user_attrs["default"] = True
        self._study.add_trial(new)
        return next(
            trial for trial in reversed(self._study.get_trials(deepcopy=False)) if trial.user_attrs.get("mark") == mark
        )

    def _lease(self, number: int) -> Lease:
        return Lease(self._place / f"{_stem(self.name)}-{number}.lease", self._beat, self._patience)

    def _claimed(self, trial: FrozenTrial, lease: Lease) -> Claimed:
        settings = self._space.settings(trial.params)
        return Claimed(self._study, self._storage, trial, settings, lease, self._sweep.measure.percents)


def _introduce(study: optuna.Study, sweep: Sweep, space: Space, aims: Sequence[Aim], store: str) -> None:
    """Have a study say what it is; one that says something else is not ours."""
    told = {
        "deo_bench": "sweep",
        "store": store,
        "space": space.told(),
        "sampler": sweep.sampler,
        "pruner": sweep.pruner,
        "seed": sweep.seed,
    }
    own = study.user_attrs
    if study.directions != [_DIRECTIONS[aim.direction] for aim in aims] or (study.get_trials() and not own):
        raise StoreError(f"study {study.study_name}: is another's, with other objectives; name another storage")
    if own.get("store", store) != store:
        wanted = "workers of one study share one store; name that store, or another storage"
        raise StoreError(f"study {study.study_name}: is worked on from another store; {wanted}")
    for key, value in told.items():
        if key not in own:
            study.set_user_attr(key, value)
    names = [aim.name for aim in aims]
    if study.metric_names != names:
        quietly(lambda: study.set_metric_names(names))


def _store_id(place: Path) -> str:
    path = place / "id"
    with one_at_a_time(path):
        if not path.is_file():
            write_whole(path, _write_id)
        return path.read_text(encoding="utf-8")


def _write_id(path: Path) -> None:
    path.write_text(uuid4().hex, encoding="utf-8")


def _stem(name: str) -> str:
    """A study's name as files are called by it; its digest at the end keeps two apart."""
    return re.sub(r"[^\w.=+-]+", "-", name)[-100:]


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)
