"""Workers of a sweep are killed at any moment: nothing is lost, nothing counts twice, and the end is the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deo_bench.experiments.events import CohortStarted, Event, Note, RunEnded, Scored, Stepped
from deo_bench.experiments.sweep.claimed import Claimed
from deo_bench.experiments.sweep.events import FinalsStarted, TrialEnded, TrialStarted
from deo_bench.experiments.sweep.launch import SweepLaunch
from deo_bench.experiments.sweep.study import Study
from tests.faults.children import PATIENCE, Child, after, before, dies
from tests.postgresql import postgresql, postgresql_server  # noqa: F401 (fixtures)
from tests.sweeping import SWEEP, Place

TRIALS = 3
TEXT = SWEEP.replace("trials = 4", f"trials = {TRIALS}")
Hear = Callable[[Event], None]


def carry_out(place: Place, hear: Hear = lambda event: None) -> dict[str, Any]:
    """Do what the sweep lacks, with a checkpoint after every step; what was done."""
    launch = SweepLaunch(place.sweep(), "cpu", checkpoint_seconds=0.0)
    done: dict[str, Any] = {"ended": [], "trained": [], "scored": [], "notes": []}
    for event in launch.events():
        if isinstance(event, TrialEnded):
            done["ended"].append(event.number)
        elif isinstance(event, RunEnded):
            done["trained"].append(event.run)
        elif isinstance(event, Scored):
            done["scored"].append(f"{event.subject} {event.probe}")
        elif isinstance(event, Note):
            done["notes"].append(event.text)
        hear(event)
    assert launch.failed == []
    return done


class Worker(Child):
    """A child that works on a sweep, and writes down what it did."""

    def __init__(self, place: Place, told: Path, hear: Hear = lambda event: None, start: Path | None = None) -> None:
        self.told_in = told

        def work() -> None:
            deadline = time.monotonic() + PATIENCE
            while start is not None and not start.exists():
                assert time.monotonic() < deadline
                time.sleep(0.005)
            told.write_text(json.dumps(carry_out(place, hear)))

        super().__init__(work, told.with_suffix(".said"))

    def told(self) -> dict[str, Any]:
        """What it did, once it has ended by itself."""
        self.ended(0)
        found: dict[str, Any] = json.loads(self.told_in.read_text())
        return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The sweep, carried out by one process that nothing befell; to be read, not changed."""
    import torch

    torch.set_num_threads(1)
    place = Place(tmp_path_factory.mktemp("alone"), TEXT)
    done = carry_out(place)
    assert done["ended"] == list(range(TRIALS)) and done["notes"] == []
    return place


@pytest.fixture
def place(alone: Place, tmp_path: Path) -> Place:
    """The sweep, not begun."""
    shutil.copytree(alone.data, tmp_path / "data")
    return Place(tmp_path, TEXT)


def at(event: type[Event], nth: int) -> Callable[[Callable[[], object]], Hear]:
    """Hears an event for the nth time, and lets happen what befalls."""

    def armed(befall: Callable[[], object]) -> Hear:
        seen = [0]

        def hear(heard: Event) -> None:
            seen[0] += isinstance(heard, event)
            if isinstance(heard, event) and seen[0] == nth:
                befall()

        return hear

    return armed


HEARD = {
    "the first trial, in the middle of its training": at(Stepped, 3),
    "the second trial, just claimed": at(TrialStarted, 2),
    "the second trial, about to be trained": at(CohortStarted, 2),
    "the second trial, in the middle of its training": at(Stepped, 9),
    "the second trial, between two scores": at(Scored, 2),
    "the second trial, just told": at(TrialEnded, 2),
    "the finalists, before the first": at(FinalsStarted, 1),
    "a finalist, in the middle of its training": at(Stepped, 6 * TRIALS + 3),
}
PATCHED = {
    "a trial, drawn and not claimed": after(Study, "_put", nth=2),
    "a trial, with all scores there and its value not told": before(Claimed, "complete", nth=2),
    "a trial, told and still claimed": before(Claimed, "_end", nth=2),
}


def kill(place: Place, moment: str, trace: Path) -> None:
    """Let a child carry out the sweep and die at a moment that it must have come to."""

    def work() -> None:
        if moment in PATCHED:
            PATCHED[moment](dies(trace))
            carry_out(place)
        else:
            carry_out(place, HEARD[moment](dies(trace)))

    child = Child(work, trace.with_suffix(".said"))
    status = child.wait()
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{status}: {child.said}"
    assert trace.exists(), "something else killed it"


QUICK = ("the second trial, in the middle of its training", *list(PATCHED)[:2])


@pytest.mark.parametrize(
    "moment", [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in (*HEARD, *PATCHED)]
)
def test_killed_and_started_again_a_seeded_sweep_finds_the_same(
    place: Place, alone: Place, tmp_path: Path, moment: str
) -> None:
    kill(place, moment, tmp_path / "trace")
    carry_out(place)
    assert place.found() == alone.found()
    assert place.trained() == alone.trained()
    assert not list((place.store / "sweeps").rglob("*lease")) and not list(place.store.rglob("workers/*.json"))


def test_killed_again_and_again_it_comes_to_the_same_end(place: Place, alone: Place, tmp_path: Path) -> None:
    for life in range(4):
        kill(place, "the first trial, in the middle of its training", tmp_path / f"trace{life}")
    carry_out(place)
    assert place.found() == alone.found()


@pytest.mark.parametrize("kept", ["journal", pytest.param("postgresql", marks=pytest.mark.system)])
def test_of_four_workers_one_is_killed_and_nothing_is_lost_or_counted_twice(
    place: Place, tmp_path: Path, kept: str, request: pytest.FixtureRequest
) -> None:
    place.url = None if kept == "journal" else request.getfixturevalue("postgresql")
    place.file.write_text(SWEEP.replace("trials = 4", "trials = 6"))
    start, trace = tmp_path / "start", tmp_path / "trace"
    killed = Worker(place, tmp_path / "killed", at(Stepped, 2)(dies(trace)), start)
    others = [Worker(place, tmp_path / f"other{number}", start=start) for number in range(3)]
    start.touch()
    assert os.WTERMSIG(killed.wait()) == signal.SIGKILL and trace.exists(), killed.said
    done = [worker.told() for worker in others]
    assert sorted(number for each in done for number in each["ended"]) == list(range(6))
    assert any("goes on from step 1" in note for each in done for note in each["notes"]), done
    assert set(Counter(name for each in done for name in each["trained"]).values()) == {1}
    scored = Counter(name for each in done for name in each["scored"])
    wanted = Counter(f"{request.subject} {request.probe}" for request in place.final().requests)
    assert scored == wanted + Counter(f"{run} knn5_l2" for run in place.trained() if run.endswith("-s1000"))
    (study,) = place.searched()
    assert [(trial.number, trial.state) for trial in study.trials] == [(number, "complete") for number in range(6)]
    assert {trial.run for trial in study.trials} <= place.trained()
    assert len(study.finalists) == 2 and all(set(one) == {0} for each in study.finalists for one in each.fresh)
    assert carry_out(place) == {"ended": [], "trained": [], "scored": [], "notes": []}
