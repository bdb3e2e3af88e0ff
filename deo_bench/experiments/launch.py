"""Carries out a plan, prerequisites first and scores last, and yields what happens to whoever draws it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator

import torch

from deo_bench.engine.training import Training
from deo_bench.errors import StoreError
from deo_bench.experiments.cohorts import Claim, CohortJob
from deo_bench.experiments.events import Event, Mapped, Note, Outcome, Scored, ScoreFailed, ScoringStarted, Waiting
from deo_bench.experiments.plan import Plan, PlannedRun, kept
from deo_bench.experiments.scoring import ScoringJob
from deo_bench.store import Lease

CHECKPOINT_SECONDS = 30.0
WAIT_SECONDS = 1.0


class Launch:
    """A plan being carried out on one device.

    `events()` does the work; not asking for the next one stops it cleanly, with every run saved and every claim given
    back. Between two events `live` is what is being trained, by the runs' names.
    """

    def __init__(self, plan: Plan, device: str = "auto", checkpoint_seconds: float = CHECKPOINT_SECONDS) -> None:
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.plan = plan
        self.device = torch.device(chosen)
        self.checkpoint_seconds = checkpoint_seconds
        self.outcome = Outcome()
        self._leases: dict[str, Lease] = {}
        self._tried: set[str] = set()
        self._job: CohortJob | None = None
        self._failed_before = {name: self._failure(name) for name in plan.runs}

    @property
    def live(self) -> dict[str, Training]:
        """The runs that are being trained, as the last event left them; to be looked at and not to be changed."""
        return {} if self._job is None else {name: member.training for name, member in self._job.members.items()}

    def stop(self, name: str) -> None:
        """Stop a live run early: its state is kept, and its record says so until somebody who wants it goes on.

        A LeaseLost where another process has taken it over.
        """
        assert self._job is not None and name in self._job.members, f"{name} is not being trained"
        self._job.stop(name)

    def events(self) -> Generator[Event, None, None]:
        """Everything that the plan still needs, in order; runs that another process holds are waited for."""
        is_waiting = False
        self._tidy()
        while left := self._left():
            claimed = next((found for cohort in left if (found := self._claim(cohort))), None)
            if not claimed and self._left() != left:
                continue  # some of it was made meanwhile, or has failed: there is nothing to wait for
            if not claimed:
                if not is_waiting:
                    yield Note("the runs left are being made by another process; waiting for it")
                is_waiting = True
                yield Waiting()
                time.sleep(WAIT_SECONDS)
                continue
            is_waiting = False
            job = self._job = CohortJob(self.plan, self.device, self.outcome, self.checkpoint_seconds)
            try:
                yield from job.events(claimed)
            finally:
                self._job = None
                # A run that was lost to another process is waited for like any that others make.
                self._tried |= {run.name for run, _ in claimed} - job.lost.keys()
                for _, lease in claimed:
                    lease.release()
        yield from self._scores()

    def _left(self) -> list[list[PlannedRun]]:
        """Cohorts still to make; those of a lesser depth wait until what they need is made."""
        cohorts = [[run for run in cohort if run.name not in self._tried] for cohort in self.plan.cohorts()]
        cohorts = [cohort for cohort in cohorts if cohort]
        deepest = max((cohort[0].depth for cohort in cohorts), default=0)
        return [cohort for cohort in cohorts if cohort[0].depth == deepest]

    def _claim(self, cohort: list[PlannedRun]) -> list[Claim]:
        """The runs of a cohort that this process may make."""
        claimed: list[Claim] = []
        try:
            for run in cohort:
                lease = self._lease(run.name)
                if not lease.take():
                    continue
                if self._is_done(run) or self._has_failed_elsewhere(run):
                    lease.release()
                    continue
                claimed.append((run, lease))
        except BaseException:
            for _, lease in claimed:
                lease.release()
            raise
        return claimed

    def _lease(self, name: str) -> Lease:
        return self._leases.setdefault(name, Lease(self.plan.store.run(name).path / "lease"))

    def _is_done(self, run: PlannedRun) -> bool:
        return self.plan.store.run(run.name).is_done(kept(run.recipe, self.plan.experiment.settings.score_at))

    def _failure(self, name: str) -> tuple[int, str] | None:
        """When a run failed and why, where that is what was last heard of it."""
        path = self.plan.store.run(name).path / "run.json"
        with contextlib.suppress(StoreError, OSError):
            info = self.plan.store.run(name).info
            if info.get("state") == "failed":
                return path.stat().st_mtime_ns, str(info.get("reason", ""))
        return None

    def _has_failed_elsewhere(self, run: PlannedRun) -> bool:
        """Whether another process has tried a run since this one began: it would only fail again."""
        found = self._failure(run.name)
        if found is None or found == self._failed_before[run.name]:
            return False
        self._tried.add(run.name)
        self.outcome.failed.append(f"{run.labels[0]}, seed {run.seed}: {found[1]}")
        return True

    def _tidy(self) -> None:
        """Remove what is left of processes that were killed when all was written: state to resume from, and claims."""
        for run in self.plan.runs.values():
            stored = self.plan.store.run(run.name)
            is_left = stored.resume_path.exists() or (stored.path / "lease").exists()
            if is_left and self._is_done(run) and self._lease(run.name).take():
                stored.tidy(kept(run.recipe, self.plan.experiment.settings.score_at))
                self._lease(run.name).release()
        for name in dict.fromkeys(request.subject for request in self.plan.requests):
            lease = Lease(self.plan.store.subject(name).path / "scores" / "lease")
            if lease.path.exists() and lease.take():
                lease.release()

    def _scores(self) -> Iterator[Event]:
        requests, maps = self.plan.scores_to_do(), self.plan.maps_to_do()
        if not requests and not maps:
            return
        yield ScoringStarted(len(requests) + len(maps), len(maps))
        for event in ScoringJob(self.plan, self.device).events([*requests, *maps]):
            if isinstance(event, Mapped):
                self.outcome.mapped += not event.is_empty
                self.outcome.seconds_scoring += event.seconds
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
