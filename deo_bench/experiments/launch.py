"""Carries out a plan, prerequisites first and scores last, and yields what happens to whoever draws it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

import torch

from deo_bench.experiments.cohorts import Claim, CohortJob
from deo_bench.experiments.events import Event, Note, Outcome, Scored, ScoreFailed, ScoringStarted
from deo_bench.experiments.plan import Plan, PlannedRun, kept
from deo_bench.experiments.scoring import ScoringJob
from deo_bench.store import Lease

CHECKPOINT_SECONDS = 30.0
WAIT_SECONDS = 1.0


class Launch:
    """A plan being carried out on one device.

    `events()` does the work; not asking for the next one stops it cleanly, with every run saved and every claim given
    back.
    """

    def __init__(self, plan: Plan, device: str = "auto", checkpoint_seconds: float = CHECKPOINT_SECONDS) -> None:
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.plan = plan
        self.device = torch.device(chosen)
        self.checkpoint_seconds = checkpoint_seconds
        self.outcome = Outcome()
        self._leases: dict[str, Lease] = {}

    def events(self) -> Generator[Event, None, None]:
        """Everything that the plan still needs, in order; runs that another process holds are waited for."""
        tried: set[str] = set()
        is_waiting = False
        while left := self._left(tried):
            claimed = next((found for cohort in left if (found := self._claim(cohort))), None)
            if not claimed:
                if not is_waiting:
                    yield Note("the runs left are being made by another process; waiting for it")
                is_waiting = True
                time.sleep(WAIT_SECONDS)
                continue
            is_waiting = False
            job = CohortJob(self.plan, self.device, self.outcome, self.checkpoint_seconds)
            try:
                yield from job.events(claimed)
            finally:
                tried |= {run.name for run, _ in claimed}
                for _, lease in claimed:
                    lease.release()
        yield from self._scores()

    def _left(self, tried: set[str]) -> list[list[PlannedRun]]:
        """Cohorts still to make; those of a lesser depth wait until what they need is made."""
        cohorts = [[run for run in cohort if run.name not in tried] for cohort in self.plan.cohorts()]
        cohorts = [cohort for cohort in cohorts if cohort]
        deepest = max((cohort[0].depth for cohort in cohorts), default=0)
        return [cohort for cohort in cohorts if cohort[0].depth == deepest]

    def _claim(self, cohort: list[PlannedRun]) -> list[Claim]:
        """The runs of a cohort that this process may make."""
        claimed: list[Claim] = []
        for run in cohort:
            stored = self.plan.store.run(run.name)
            lease = self._leases.setdefault(run.name, Lease(stored.path / "lease"))
            if not lease.take():
                continue
            if stored.is_done(kept(run.recipe, self.plan.experiment.settings.score_at)):
                lease.release()
                continue
            claimed.append((run, lease))
        return claimed

    def _scores(self) -> Iterator[Event]:
        requests = self.plan.scores_to_do()
        if not requests:
            return
        yield ScoringStarted(len(requests))
        for event in ScoringJob(self.plan, self.device).events(requests):
            if isinstance(event, Scored):
                self.outcome.scored += 1
                self.outcome.encoded += event.encoded
                if event.probe == "supervised":
                    self.outcome.seconds_references += event.seconds
                else:
                    self.outcome.seconds_scoring += event.seconds
            if isinstance(event, ScoreFailed):
                self.outcome.failed.append(f"{event.subject} on {event.task}, {event.probe}: {event.reason}")
            yield event
