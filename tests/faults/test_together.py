"""Several processes on one grid and one store: no work is done twice, and each ends with the whole answer."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deo_bench.cli import main
from deo_bench.experiments.events import CohortStarted, Event, Note, RunEnded, Scored, Stepped, Waiting
from deo_bench.experiments.launch import Launch
from deo_bench.store import Lease
from deo_bench.targets.channel_std import ChannelStd
from tests.faults.children import PATIENCE, Child, after
from tests.faults.conftest import Place, make_experiment

Hear = Callable[[Event], None]


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Four runs in two cohorts, carried out by one process; to be read, not changed."""
    import torch

    torch.set_num_threads(1)
    folder = make_experiment(
        tmp_path_factory.mktemp("grid"), seeds="[0, 1]", score_at="[]", **{"objective.expand.weight": "[0.5, 1.0]"}
    )
    made = Place(folder, tmp_path_factory.mktemp("alone") / "runs")
    outcome, _ = made.carry_out()
    assert outcome.trained == 4 and not outcome.failed
    return made


class Gate:
    """A file that one process makes and others wait for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        """Let the others through."""
        self.path.touch()

    def wait(self) -> None:
        """Until it is open."""
        deadline = time.monotonic() + PATIENCE
        while not self.path.exists():
            assert time.monotonic() < deadline, f"{self.path.name} was never opened"
            time.sleep(0.005)


class Worker(Child):
    """A child that carries out an experiment, tells its events to `hear`, and writes down what it did."""

    def __init__(self, place: Place, told: Path, hear: Hear = lambda event: None, **given: Any) -> None:
        self.told_in = told
        super().__init__(lambda: self._work(place, hear, **given), told.with_suffix(".said"))

    def _work(
        self,
        place: Place,
        hear: Hear,
        arm: Callable[[], None] = lambda: None,
        start: Gate | None = None,
        beat: float = 5.0,
        wait: float = 60.0,
    ) -> None:
        Lease.__init__.__defaults__ = (beat, wait)
        arm()
        plan = place.plan()
        if start is not None:
            start.wait()
        launch = Launch(plan, "cpu", checkpoint_seconds=0.0)
        found: dict[str, Any] = {"trained": [], "scored": [], "notes": [], "fitted": []}
        # As long as a real teacher takes, so that another comes to it meanwhile.
        after(ChannelStd, "fit")(lambda: (found["fitted"].append(1), time.sleep(0.3)))
        for event in launch.events():
            hear(event)
            if isinstance(event, RunEnded):
                found["trained"].append(event.run + event.reason)
            elif isinstance(event, Scored):
                found["scored"].append(f"{event.subject} {event.probe}")
            elif isinstance(event, Note):
                found["notes"].append(event.text)
        found["encoded"], found["failed"] = launch.outcome.encoded, launch.outcome.failed
        found["left"] = len(plan.runs_to_do()) + len(plan.scores_to_do())
        self.told_in.write_text(json.dumps(found))

    def heard(self) -> dict[str, Any]:
        """What it did, once it has ended by itself."""
        self.ended(0)
        found: dict[str, Any] = json.loads(self.told_in.read_text())
        return found

    def told(self) -> dict[str, Any]:
        """What it did, which was the whole answer."""
        found = self.heard()
        assert found["left"] == 0 and found["failed"] == []
        return found


def check_done_once(place: Place, alone: Place, *done: dict[str, Any]) -> None:
    """Every run was trained and every score was made, once over all processes."""
    trained = Counter(name for each in done for name in each["trained"])
    scored = Counter(name for each in done for name in each["scored"])
    assert trained == Counter(list(place.plan().runs))
    assert scored == Counter(f"{request.subject} {request.probe}" for request in place.plan().requests)
    assert sum(each["encoded"] for each in done) == 48 * len(
        {(r.subject, r.weights, r.step) for r in place.plan().requests}
    )
    assert sum(len(each["fitted"]) for each in done) == 1, "the teacher's statistics are the same for all"
    place.check_ends(alone)


def test_two_that_start_together_do_nothing_twice(grid: Place, tmp_path: Path) -> None:
    place, start = Place(grid.folder, tmp_path / "runs"), Gate(tmp_path / "start")
    workers = [Worker(place, tmp_path / f"worker{number}", start=start) for number in range(2)]
    start.open()
    check_done_once(place, grid, *(worker.told() for worker in workers))


def test_each_takes_a_part_and_waits_for_the_other_s(grid: Place, tmp_path: Path) -> None:
    place = Place(grid.folder, tmp_path / "runs")
    begun = [Gate(tmp_path / "begun0"), Gate(tmp_path / "begun1")]

    def both_at_work(mine: int) -> Hear:
        def hear(event: Event) -> None:
            if isinstance(event, CohortStarted):
                begun[mine].open()
                begun[1 - mine].wait()

        return hear

    first = Worker(place, tmp_path / "first", both_at_work(0))
    second = Worker(place, tmp_path / "second", both_at_work(1), start=begun[0])
    done = [first.told(), second.told()]
    assert all(len(each["trained"]) == 2 for each in done)
    check_done_once(place, grid, *done)


def test_what_another_has_made_since_one_looked_is_not_made_again(
    place: Place, finished: Place, tmp_path: Path
) -> None:
    looked, made = Gate(tmp_path / "looked"), Gate(tmp_path / "made")

    def look_and_pause() -> None:
        looked.open()
        made.wait()

    late = Worker(place, tmp_path / "late", arm=lambda: after(Launch, "_left")(look_and_pause))
    looked.wait()
    done = [Worker(place, tmp_path / "early").told()]
    made.open()
    done.append(late.told())
    assert done[1]["notes"] == []
    check_done_once(place, finished, *done)


def test_one_goes_on_with_what_a_killed_one_had_claimed(place: Place, finished: Place, tmp_path: Path) -> None:
    waited = Gate(tmp_path / "waited")

    def die(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 1:
            waited.wait()
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(event: Event) -> None:
        if isinstance(event, Waiting):
            waited.open()

    killed = Worker(place, tmp_path / "killed", die)
    wait_for_claim(place)
    other = Worker(place, tmp_path / "other", hear)
    assert os.WTERMSIG(killed.wait()) == signal.SIGKILL
    done = other.told()
    assert any("waiting for it" in text for text in done["notes"])
    assert any("goes on from step 1" in text for text in done["notes"])
    place.check_ends(finished)


def test_one_that_slept_through_its_claim_stops_writing_and_ends_with_the_other_s_answer(
    place: Place, finished: Place, tmp_path: Path
) -> None:
    asleep = Gate(tmp_path / "asleep")

    def sleep(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 1:
            asleep.open()
            os.kill(os.getpid(), signal.SIGSTOP)

    # Its heart does not beat at all, as that of a machine that is suspended.
    sleeper = Worker(place, tmp_path / "sleeper", sleep, beat=1000.0)
    asleep.wait()
    other = Worker(place, tmp_path / "other", wait=0.5)
    done = [other.told()]
    place.check_ends(finished)
    written = {path: path.stat().st_mtime_ns for path in place.store.rglob("*") if path.is_file()}
    os.kill(sleeper.pid, signal.SIGCONT)
    done.append(sleeper.told())
    assert any("was taken over by another process" in text for text in done[1]["notes"])
    assert done[0]["trained"] == list(place.plan().runs) and done[1]["trained"] == done[1]["scored"] == []
    assert {path: path.stat().st_mtime_ns for path in place.store.rglob("*") if path.is_file()} == written


def test_one_that_lost_its_claim_waits_for_whoever_has_it(place: Place, finished: Place, tmp_path: Path) -> None:
    asleep, taken, waits = Gate(tmp_path / "asleep"), Gate(tmp_path / "taken"), Gate(tmp_path / "waits")

    def sleep(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 1:
            asleep.open()
            os.kill(os.getpid(), signal.SIGSTOP)
        elif isinstance(event, Waiting):
            waits.open()

    def take_and_pause(event: Event) -> None:
        if isinstance(event, CohortStarted):
            taken.open()
            waits.wait()

    sleeper = Worker(place, tmp_path / "sleeper", sleep, beat=1000.0)
    asleep.wait()
    other = Worker(place, tmp_path / "other", take_and_pause, wait=0.5)
    taken.wait()
    os.kill(sleeper.pid, signal.SIGCONT)
    done = [sleeper.told(), other.told()]
    assert [len(each["trained"]) for each in done] == [0, 1]
    place.check_ends(finished)


BROKEN = """
from deo_bench.losses import PairLoss, loss


@loss("broken")
class Broken(PairLoss):
    \"\"\"Not a number.\"\"\"

    def pair(self, student, target):
        return student.sum() * float("nan")
"""


def test_a_run_that_fails_is_not_tried_again_by_the_one_that_waited(tmp_path: Path) -> None:
    folder = make_experiment(tmp_path)
    (folder / "broken.py").write_text(BROKEN)
    text = (folder / "tiny.toml").read_text().replace("[data]", 'parts = ["broken.py"]\n\n[data]', 1)
    (folder / "tiny.toml").write_text(text.replace('loss = "coding_rate"', 'loss = "broken"'))
    place, waited = Place(folder, tmp_path / "runs"), Gate(tmp_path / "waited")

    def until_another_waits(event: Event) -> None:
        if isinstance(event, CohortStarted):
            waited.wait()

    def hear(event: Event) -> None:
        if isinstance(event, Waiting):
            waited.open()

    first = Worker(place, tmp_path / "first", until_another_waits)
    wait_for_claim(place)
    second = Worker(place, tmp_path / "second", hear)
    done = [first.heard(), second.heard()]
    assert [len(each["trained"]) for each in done] == [1, 0]
    assert all("objective.expand is nan at step 0" in " ".join(each["failed"]) for each in done)
    again = Worker(place, tmp_path / "again").heard()
    assert len(again["trained"]) == 1, "the same command tries it again"


def test_ctrl_c_ends_the_waiting(place: Place, tmp_path: Path) -> None:
    held = [Lease(place.store / name / "lease") for name in place.plan().runs]
    assert all(lease.take() for lease in held)
    child = Child(lambda: main(place.words), tmp_path / "said")
    deadline = time.monotonic() + PATIENCE
    while "waiting for it" not in child.said if child.said_in.exists() else True:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGINT)
    assert "the same command goes on from here" in child.ended(130)
    for lease in held:
        lease.check()
        lease.release()


def wait_for_claim(place: Place) -> None:
    """Until somebody holds the claim on every run."""
    deadline = time.monotonic() + PATIENCE
    while not all((place.store / name / "lease").exists() for name in place.plan().runs):
        assert time.monotonic() < deadline
        time.sleep(0.01)
