"""What is found on disk and cannot be gone on with: torn, of other parts, too far; and what is said of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deo_bench.experiments.events import Event, Note, Stepped
from deo_bench.experiments.launch import Launch
from tests.faults.children import before
from tests.faults.conftest import Place
from tests.faults.test_killed import kill

Stopped = Callable[[int], Path]


@pytest.fixture
def stopped(place: Place) -> Stopped:
    """Stops the experiment in good order after a number of steps; the run's folder."""

    def stop(steps: int) -> Path:
        events = Launch(place.plan(), "cpu").events()
        for event in events:
            if isinstance(event, Stepped) and event.step == steps - 1:
                break
        events.close()
        (folder,) = (place.store / name for name in place.plan().runs)
        return folder

    return stop


def notes(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def test_another_number_of_threads_is_said_and_recorded(place: Place, stopped: Stopped) -> None:
    run = place.plan().store.run(stopped(2).name)
    torch.set_num_threads(2)
    (told,) = notes(place.carry_out()[1])
    assert "goes on from step 2 on 2 threads where it began on 1: its weights may differ in the last bits" in told
    assert run.info["threads"] == 2 and run.info["threads_before"] == [1]


def test_the_same_number_of_threads_is_not_spoken_of(place: Place, stopped: Stopped, finished: Place) -> None:
    run = place.plan().store.run(stopped(2).name)
    (told,) = notes(place.carry_out()[1])
    assert told.endswith("goes on from step 2") and "threads_before" not in run.info
    place.check_ends(finished)


def test_a_checkpoint_of_other_parts_leaves_nothing_of_itself(place: Place, stopped: Stopped, finished: Place) -> None:
    path = stopped(2) / "resume" / "state.pt"
    state = torch.load(path, weights_only=True)
    state["student"] = {name: value * 2 for name, value in state["student"].items()}
    del state["optimiser"]
    torch.save(state, path)
    (told,) = notes(place.carry_out()[1])
    assert "of other parts (KeyError); the run begins again" in told
    place.check_ends(finished)


def test_a_line_of_the_log_that_is_torn_or_past_the_checkpoint_goes(
    place: Place, stopped: Stopped, finished: Place
) -> None:
    with (stopped(2) / "train.jsonl").open("a") as stream:
        stream.write('{"step": 2, "total": 1}\n{"step": 3, "tot')
    place.carry_out()
    place.check_ends(finished)


def test_a_step_whose_weights_are_wanted_later_is_not_skipped(place: Place, stopped: Stopped, finished: Place) -> None:
    folder = stopped(2)
    for path in folder.glob("*-0000002.safetensors"):
        path.unlink()
    (told,) = notes(place.carry_out()[1])
    assert "is past step 2, whose weights are wanted and were not kept; the run begins again" in told
    place.check_ends(finished)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_another(path: Path) -> None:
    other = next(each for each in path.parent.glob(f"*{path.suffix}") if each != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    ("name", "damage", "said", "trained"),
    [
        ("scores/tiny.linear.*.json", cut, "torn, foreign", 0),
        ("scores/tiny.linear.*.json", of_another, "torn, foreign", 0),
        ("scores/tiny.linear.*.npz", cut, "torn, foreign or without its predictions", 0),
        ("scores/tiny.linear.*.npz", Path.unlink, "without its predictions", 0),
        ("run.json", cut, "run.json: torn or foreign", 1),
        ("recipe.json", cut, "recipe.json: torn or foreign", 1),
        ("ema.safetensors", cut, "ema.safetensors: torn", 1),
    ],
)
def test_what_is_torn_or_foreign_is_said_and_made_again(
    again: Place, finished: Place, name: str, damage: Callable[[Path], object], said: str, trained: int
) -> None:
    (run,) = again.plan().runs
    path = min((again.store / run).glob(name))
    damage(path)
    outcome, events = again.carry_out()
    (told,) = notes(events)
    assert said in told and "made again" in told
    assert (outcome.trained, outcome.scored) == (trained, 1 - trained)
    again.check_ends(finished)


def test_what_a_killed_process_left_of_a_finished_run_goes(place: Place, finished: Place, tmp_path: Path) -> None:
    kill(place, before(shutil, "rmtree", lambda path, **_: Path(path).name == "resume"), tmp_path / "trace")
    (run,) = place.plan().runs
    assert (place.store / run / "resume" / "state.pt").exists() and (place.store / run / "lease").exists()
    outcome, _ = place.carry_out()
    assert outcome.trained == 0
    place.check_ends(finished)
