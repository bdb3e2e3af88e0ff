"""Carries out a sweep: trials until every study has spent its budget, then the best of them with fresh seeds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence

from deo_bench.experiments.events import Event, Note, Outcome, Waiting
from deo_bench.experiments.launch import CHECKPOINT_SECONDS, Launch
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.sweep.claimed import Claimed
from deo_bench.experiments.sweep.events import FinalsStarted, TrialEnded, TrialStarted
from deo_bench.experiments.sweep.final import final_plan
from deo_bench.experiments.sweep.plan import SweepPlan, TunedCell, trial_cell
from deo_bench.experiments.sweep.study import Study
from deo_bench.experiments.sweep.trial import TrialJob
from deo_bench.experiments.sweep.workers import FOLDER, Status

WAIT_SECONDS = 1.0


class SweepLaunch:
    """A sweep being carried out by this process, among any number of others that do the same.

    `events()` does the work; not asking for the next one stops it cleanly: what is trained is saved, and the trial is
    taken up by whoever comes next. number: of the worker, where one process has started several.
    """

    def __init__(
        self,
        sweep: SweepPlan,
        device: str = "auto",
        number: int | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self.sweep = sweep
        self.device = device
        self.number = number
        self.checkpoint_seconds = checkpoint_seconds
        self.outcome = Outcome()
        self.failed: list[str] = []
        self.final: Plan | None = None

    def events(self) -> Generator[Event, None, None]:
        """Trials as long as any study lacks some, then the finalists; what others hold is waited for."""
        status = Status(self.sweep.folder / FOLDER, self.number)
        with status, contextlib.closing(self._events()) as events:
            for event in events:
                status.hear(event)
                yield event

    def _events(self) -> Generator[Event, None, None]:
        studies = list(zip(self.sweep.cells, self.sweep.studies(), strict=True))
        is_waiting = False
        while True:
            claimed = next(((tuned, found) for tuned, study in studies if (found := study.claim())), None)
            if claimed is not None:
                is_waiting = False
                yield from self._trial(*claimed)
                continue
            if all(study.is_over for _, study in studies):
                break
            if not is_waiting:
                yield Note("the trials left are being made by another process; waiting for it")
            is_waiting = True
            yield Waiting()
            time.sleep(WAIT_SECONDS)
        yield from self._finals([study for _, study in studies])

    def _trial(self, tuned: TunedCell, claimed: Claimed) -> Iterator[Event]:
        """One trial, from its claim to what it is told to the study."""
        try:
            yield TrialStarted(tuned.label, claimed.number)
        except GeneratorExit:
            claimed.release()
            raise
        job = TrialJob(
            self.sweep.experiment,
            lambda: trial_cell(self.sweep, tuned, claimed.number, claimed.settings),
            self.sweep.aims,
            claimed,
            self.sweep.store,
            self.sweep.data,
            self.device,
            self.checkpoint_seconds,
            judged=self.sweep.judged,
            check=self.sweep.checked_anew,
            trace=self.sweep.folder / f"trial-{tuned.study[-8:]}-{claimed.number}.txt",
        )
        yield from job.events()
        if job.state == "failed":
            self.failed.append(f"{tuned.row(f'trial {claimed.number}')}: {job.reason}")
        yield TrialEnded(tuned.label, claimed.number, job.state, job.values, job.reason)

    def _finals(self, studies: Sequence[Study]) -> Iterator[Event]:
        """The best trials and the recipes as they stand, with the experiment's seeds, on what it asks for."""
        plan = self.final = final_plan(self.sweep, studies)
        runs, scores = len(plan.runs_to_do()), len(plan.scores_to_do())
        if not runs and not scores and not plan.maps_to_do():
            return
        yield FinalsStarted(runs, scores)
        launch = Launch(plan, self.device, self.checkpoint_seconds)
        self.outcome = launch.outcome
        yield from launch.events()
        self.failed += launch.outcome.failed
