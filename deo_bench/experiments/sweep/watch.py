"""Looks at a sweep from outside: its studies, its workers' files, and how far the finalists are."""

from __future__ import annotations

import time
from functools import cached_property

from deo_bench.errors import StoreError
from deo_bench.experiments.plan import Plan, kept
from deo_bench.experiments.sweep.final import final_plan, searched_of
from deo_bench.experiments.sweep.plan import SweepPlan
from deo_bench.experiments.sweep.progress import Finals, Sight, finished_of
from deo_bench.experiments.sweep.study import Study
from deo_bench.experiments.sweep.workers import FOLDER, workers_in

FINALS_SECONDS = 5.0
"""Between two looks at finalists' files, which are many."""


class Watch:
    """What there is to be drawn of a sweep, whoever works on it; asked for about once a second."""

    def __init__(self, sweep: SweepPlan) -> None:
        self.sweep = sweep
        self._plan: Plan | None = None
        self._looked: tuple[float, Finals | None] = (0.0, None)

    @cached_property
    def _studies(self) -> list[Study]:
        return self.sweep.studies()

    def __call__(self) -> Sight:
        """Studies, workers and finalists as they are now."""
        studies = tuple(searched_of(self.sweep, self._studies))
        workers = tuple(workers_in(self.sweep.folder / FOLDER))
        if any(finished_of(study) < study.wanted for study in studies):
            return Sight(studies, workers, None, self.sweep.final_runs([study.wanted for study in studies]))
        finals = self._finals()
        return Sight(studies, workers, finals, finals.runs - finals.runs_done)

    def failed(self) -> list[str]:
        """Trials and finalists' runs that failed, each with its reason."""
        told = []
        for tuned, study in zip(self.sweep.cells, self._studies, strict=True):
            for trial in study.trials():
                if trial.state.name == "FAIL":
                    told.append(f"{tuned.row(f'trial {trial.number}')}: {trial.user_attrs.get('reason', '')}")
        for run in self._plan.runs.values() if self._plan is not None else ():
            stored = self.sweep.base.store.run(run.name)
            if stored.state == "failed":
                told.append(f"{run.labels[0]}, seed {run.seed}: {stored.info.get('reason', '')}")
        return told

    def _finals(self) -> Finals:
        if self._plan is None:
            self._plan = final_plan(self.sweep, self._studies)
        when, found = self._looked
        if found is None or time.monotonic() - when >= FINALS_SECONDS:
            found = _finals_of(self._plan)
            self._looked = (time.monotonic(), found)
        return found


def _finals_of(plan: Plan) -> Finals:
    left = 0
    for run in plan.runs.values():
        try:
            left += not plan.store.run(run.name).is_done(kept(run.recipe, plan.experiment.settings.score_at))
        except StoreError:
            left += 1
    scores = len(plan.requests)
    return Finals(len(plan.runs), len(plan.runs) - left, scores, scores - len(plan.scores_to_do()))
