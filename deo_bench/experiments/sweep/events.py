"""What happens while a sweep is carried out, beside what happens to any run."""

from __future__ import annotations

from dataclasses import dataclass

from deo_bench.experiments.events import Event
from deo_bench.reports.searched import State


@dataclass(frozen=True)
class TrialStarted(Event):
    """A trial of a cell was claimed; cell: its label, empty where the experiment has no grid."""

    cell: str
    number: int


@dataclass(frozen=True)
class Measured(Event):
    """The student of a trial was measured while it is trained; percent: of its training."""

    number: int
    percent: int
    value: float


@dataclass(frozen=True)
class TrialEnded(Event):
    """A trial was told to its study; reason: why it failed, or was left to another process (state `running`)."""

    cell: str
    number: int
    state: State
    values: tuple[float | None, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class FinalsStarted(Event):
    """Every study has spent its budget: its best trials and the recipe as it stands are run with fresh seeds."""

    runs: int
    scores: int
