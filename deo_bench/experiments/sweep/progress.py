"""How far a sweep is: what its trials found so far, and how long the rest may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from deo_bench.experiments.sweep.workers import Worker
from deo_bench.reports.searched import Searched, State, Tried
from deo_bench.reports.trials import best, states_of

FINISHED: tuple[State, ...] = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class Finals:
    """How far the runs and scores with fresh seeds are."""

    runs: int
    runs_done: int
    scores: int
    scores_done: int


@dataclass(frozen=True)
class Sight:
    """What there is to be drawn. finalist_runs: those with fresh seeds that are still to be trained."""

    studies: tuple[Searched, ...]
    workers: tuple[Worker, ...] = ()
    finals: Finals | None = None
    finalist_runs: int = 0


def finished_of(study: Searched) -> int:
    """How many trials count toward its budget."""
    count = states_of(study)
    return sum(count[state] for state in FINISHED)


def best_of(study: Searched) -> Tried | None:
    """The best complete trial by the first aim, the earliest of equals."""
    return next(iter(best(study)), None)


def seconds_left(studies: Sequence[Searched], workers: Sequence[Worker], finalist_runs: float = 0) -> float | None:
    """How long the rest may take: the trials left at the median of those that were trained (pruned ones included), then
    the runs of finalists at the median of those that were trained to their end, over the workers there are. No mean:
    the first trial makes what all need, too.

    finalist_runs: those that are still to be trained. None before any trial was trained.
    """
    trained = [trial for study in studies for trial in study.trials if trial.seconds and not trial.cost_nothing]
    ended = [trial.seconds for trial in trained if trial.state in ("complete", "pruned") and trial.seconds]
    whole = [trial.seconds for trial in trained if trial.state == "complete" and trial.seconds] or ended
    if not ended:
        return None
    under_way = sum(worker.share for worker in workers if worker.trial is not None)
    left = max(sum(max(study.wanted - finished_of(study), 0) for study in studies) - under_way, 0.0)
    final = max(finalist_runs - sum(worker.share for worker in workers if worker.trial is None), 0.0)
    alone = left * median(ended) + final * median(whole)
    return alone / max(len(workers), 1)
