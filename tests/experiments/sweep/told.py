"""A trial's claim that remembers what it is told, and tiny experiments with a sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from deo_bench.data import Places
from deo_bench.experiments.events import Event
from deo_bench.experiments.file import Experiment, read_experiment
from deo_bench.experiments.grid import GridCell, cells_of
from deo_bench.experiments.sweep.aims import aims_of
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.experiments.sweep.trial import TrialJob
from deo_bench.recipe import resolve, set_path
from deo_bench.store import LeaseLost, Run, Store
from tests.experiments.conftest import Place

SEED = 1000
STEPS = 12
USUAL: dict[str, Any] = {
    "space": {"objective.expand.eps": {"low": 0.1, "high": 1.0}},
    "pruner": "median",
    "measure": {"every": 0.25, "images": 4000, "k": 5},
}


class Told:
    """What a study would be told of a trial. gives_up: from that percent on; lost_at: where its claim is lost."""

    def __init__(
        self, measured: dict[int, float] | None = None, gives_up: int | None = None, lost_at: int | None = None
    ) -> None:
        self.number, self.deaths = 7, 0
        self.measured = dict(measured or {})
        self.gives_up, self.lost_at = gives_up, lost_at
        self.reported: list[int] = []
        self.asked_at: list[int] = []
        self.run, self.end, self.released = "", "", 0
        self.values: tuple[float, ...] = ()
        self.cost_nothing: bool | None = None

    def note(self, run: str) -> None:
        self.run = run

    def advanced(self) -> None:
        self.deaths = 0

    def spent(self, seconds: float, cost_nothing: bool) -> None:
        assert seconds >= 0
        self.cost_nothing = cost_nothing

    def report(self, percent: int, value: float) -> None:
        if self.lost_at == percent:
            raise LeaseLost("trial 7 was taken over by another process; this one stops writing to it")
        assert percent not in self.measured
        self.reported.append(percent)
        self.measured[percent] = value

    def should_prune(self) -> bool:
        self.asked_at.append(max(self.measured))
        return self.gives_up is not None and max(self.measured) >= self.gives_up

    def complete(self, values: Sequence[float]) -> None:
        self._ends("complete")
        self.values = tuple(values)

    def prune(self) -> None:
        self._ends("pruned")

    def fail(self, reason: str) -> None:
        self._ends(f"failed: {reason}")

    def release(self) -> None:
        self.released += 1

    def _ends(self, how: str) -> None:
        assert not self.end, f"told twice: {self.end}, {how}"
        self.end = how


def swept(place: Place, *overrides: str, seeds: Sequence[int] = (), **sweep: Any) -> Experiment:
    """The tiny experiment without its grid and baselines, twelve steps long, with a sweep."""
    experiment = read_experiment(str(place.file), (f"train.steps={STEPS}", "student.drop_path=0.1", *overrides), seeds)
    settings = experiment.settings.model_copy(update={"sweep": Sweep.model_validate({**USUAL, **sweep}), "grid": {}})
    return replace(experiment, settings=settings, grid={}, baselines=())


def job_of(place: Place, experiment: Experiment, told: Told, **changes: Any) -> TrialJob:
    """A trial of the experiment's one cell with values laid over it, by path with underscores for dots."""

    def cell() -> GridCell:
        tables = experiment.recipe
        for path, value in changes.items():
            tables = set_path(tables, path.replace("__", "."), value)
        recipe = resolve(tables, experiment.registry, "trial")
        return replace(cells_of(experiment)[0], label="trial 7", recipe=recipe, seeds=(SEED,))

    aims = aims_of(experiment, Places.of(place.store, place.data))
    return TrialJob(experiment, cell, aims, told, place.store, place.data, "cpu")


def until(events: Iterator[Event], is_it: Callable[[Event], bool]) -> Event:
    """The first such event; the rest is not asked for."""
    return next(event for event in events if is_it(event))


def run_of(place: Place, told: Told) -> Run:
    return Store(place.store).run(told.run)
