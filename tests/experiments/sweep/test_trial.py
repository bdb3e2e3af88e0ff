"""A trial is an ordinary run: however it comes about its bytes are the same, and it never costs anything twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import deo_bench
from deo_bench.engine import embed
from deo_bench.experiments.events import CohortStarted, Event, Note, RunEnded, Scored, ScoringStarted, Stepped
from deo_bench.experiments.launch import Launch
from deo_bench.experiments.plan import make_plan
from deo_bench.experiments.sweep.events import Measured
from deo_bench.experiments.sweep.measure import Neighbours, looks
from deo_bench.experiments.sweep.settings import Measure
from deo_bench.store import removal
from deo_bench.store.prune import Wanted, look
from tests.experiments.conftest import Place, files
from tests.experiments.sweep.told import SEED, STEPS, Told, job_of, run_of, swept, until

EARLY, LATE = {"measure": {"every": 0.25, "k": 5}}, {"measure": {"every": 0.5, "k": 5}}


def weights(store: Path) -> dict[str, bytes]:
    return {name: content for name, content in files(store).items() if "safetensors" in name or "recipe" in name}


def grid(place: Place, *overrides: str) -> list[Event]:
    """An ordinary experiment that asks for the trial's run."""
    plan = make_plan(swept(place, *overrides, seeds=(SEED,)), place.store, place.data)
    launch = Launch(plan, "cpu")
    events = list(launch.events())
    assert not launch.outcome.failed
    return events


@pytest.fixture
def other(tmp_path: Path) -> Place:
    """The same experiment in another folder, where nobody prunes."""
    (tmp_path / "other").mkdir()
    return Place(tmp_path / "other")


def test_a_trial_is_trained_measured_and_judged_on_select_alone(place: Place) -> None:
    told = Told()
    job = job_of(place, swept(place), told)
    events = list(job.events())
    assert (job.state, told.end, job.cost_nothing, told.cost_nothing) == ("complete", "complete", False, False)
    assert told.reported == [25, 50, 75] == [event.percent for event in events if isinstance(event, Measured)]
    run = run_of(place, told)
    assert run.is_done() and run.name.endswith(f"-s{SEED}") and job.run == run.name and told.released == 0
    (score,) = (run.path / "select").glob("*.json")
    found = json.loads(score.read_text())
    assert found["role"] == "select" and found["probe"] == "knn5_l2" and told.values == (found["value"],)
    assert score.with_suffix(".npz").is_file() and not list((run.path / "scores").glob("*.json"))
    assert deo_bench.scores(place.store).empty, "what a sweep tunes by is no result"
    assert [each.name for each in place.store.iterdir() if each.name.endswith(f"-s{SEED}")] == [run.name]


def test_a_pruned_run_that_a_grid_asks_for_ends_with_the_bytes_of_one_never_pruned(place: Place, other: Place) -> None:
    told = Told(gives_up=50)
    job = job_of(place, swept(place), told)
    events = list(job.events())
    run = run_of(place, told)
    assert (job.state, told.end, told.reported) == ("pruned", "pruned", [25, 50]) and job.values == ()
    assert run.state == "pruned" and run.stopped_at == STEPS // 2 and not run.is_done() and run.info["steps"] == STEPS
    assert (run.resume_path / "state.pt").is_file() and not run.weights().exists()
    assert run.told_state == "pruned, a sweep stopped it at step 6" and not (run.path / "lease").exists()
    assert not any(isinstance(event, RunEnded | ScoringStarted) for event in events)
    found = look(make_plan(swept(place), place.store, place.data).store, place.store / "cache", Wanted(unfinished=True))
    assert [item.why for item in found.items] == ["a sweep stopped it at step 6"]
    events = grid(place)
    assert [event.start for event in events if isinstance(event, CohortStarted)] == [STEPS // 2]
    grid(other)
    assert run.is_done() and run.stopped_at is None and files(place.store) == files(other.store)
    log = [json.loads(line)["step"] for line in (run.path / "train.jsonl").read_text().splitlines()]
    assert log == sorted(set(log))


def test_a_pruned_run_whose_checkpoint_was_let_go_begins_again_to_the_same_bytes(place: Place, other: Place) -> None:
    told = Told(gives_up=25)
    list(job_of(place, swept(place), told).events())
    plan = make_plan(swept(place, seeds=(SEED,)), place.store, place.data)
    for item in look(plan.store, plan.places.cache, Wanted(unfinished=True)).items:
        removal.remove(plan.store, item)
    grid(place)
    grid(other)
    assert weights(place.store) == weights(other.store)


def test_measuring_changes_no_byte(place: Place, other: Place) -> None:
    told, plain = Told(), Told()
    list(job_of(place, swept(place, **EARLY), told).events())
    list(job_of(other, swept(other, pruner="none"), plain).events())
    assert told.reported and not plain.reported and not plain.asked_at
    made = {name: content for name, content in files(place.store).items() if "select" not in name}
    assert made == {name: content for name, content in files(other.store).items() if "select" not in name}
    assert told.values == plain.values


def test_a_trial_whose_run_is_there_costs_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Told()
    list(job_of(place, swept(place), first).events())
    encoded: list[int] = []
    real = embed.images_of
    monkeypatch.setattr(
        embed, "images_of", lambda pack, rows, *a, **k: encoded.append(len(rows)) or real(pack, rows, *a, **k)
    )
    again = Told()
    job = job_of(place, swept(place), again)
    events = list(job.events())
    assert not events and not encoded and not again.reported and again.values == first.values
    assert job.cost_nothing and again.cost_nothing and again.run == first.run
    plan = make_plan(swept(place, seeds=(SEED,)), place.store, place.data)
    for item in look(plan.store, plan.places.cache, Wanted(keep=frozenset())).items:
        removal.remove(plan.store, item)
    assert plan.store.run(first.run).told_state == "pruned, its weights are gone"
    late = Told()
    assert not list(job_of(place, swept(place), late).events()) and late.values == first.values and late.cost_nothing
    # Another probe of the same run: its weights have to be there, what was encoded need not be encoded again.
    grid(place)
    encoded.clear()
    more = Told()
    other = swept(place, objectives=({"probe": "knn20_cos"},))
    events = list(job_of(place, other, more).events())
    assert sum(isinstance(event, Scored) for event in events) == 1 and not encoded and more.cost_nothing
    assert not any(isinstance(event, CohortStarted) for event in events) and not more.reported


def test_a_grid_trained_the_run_and_its_report_is_not_what_the_trial_reads(place: Place) -> None:
    grid(place)
    told = Told()
    events = list(job_of(place, swept(place), told).events())
    assert sum(isinstance(event, Scored) for event in events) == 1 and told.cost_nothing
    frame = deo_bench.scores(place.store)
    row = frame[(frame.subject == told.run) & (frame.probe == "knn5_l2")].iloc[0]
    value = json.loads(next((run_of(place, told).path / "select").glob("*.json")).read_text())
    assert value["n"] != row["n"] or value["value"] != row["value"]
    assert set(frame.subject) >= {told.run} and len(frame[frame.subject == told.run]) == 3


@pytest.mark.parametrize("after", [4, 6, 8])
def test_taken_up_where_another_worker_died_nothing_is_measured_twice(place: Place, other: Place, after: int) -> None:
    dead = Told()
    events = job_of(place, swept(place), dead).events()
    until(events, lambda event: isinstance(event, Stepped) and event.step == after)
    events.close()
    assert dead.released == 1 and not dead.end and run_of(place, dead).state == "started"
    told = Told(dead.measured)
    list(job_of(place, swept(place), told).events())
    assert dead.reported + told.reported == [25, 50, 75] and told.end == "complete"
    assert dead.asked_at + told.asked_at == [25, 50, 75]
    whole = Told()
    list(job_of(other, swept(other), whole).events())
    assert files(place.store) == files(other.store)
    assert told.measured == whole.measured and told.values == whole.values


def test_what_was_reported_beyond_the_state_of_a_dead_worker_is_not_measured_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = job_of(place, swept(place), Told()).events()
    until(events, lambda event: isinstance(event, Stepped) and event.step == 3)
    events.close()
    measured: list[int] = []
    monkeypatch.setattr(Neighbours, "__call__", lambda self, training: measured.append(training.step) or 0.5)
    told = Told({25: 0.3, 50: 0.4})
    list(job_of(place, swept(place), told).events())
    # The pruner was asked at 25 % when that was the last; of 50 % the answer is not known.
    assert (measured, told.reported, told.asked_at, told.end) == ([9], [75], [50, 75], "complete")


def test_one_that_was_given_up_when_its_worker_died_is_given_up_at_the_same_step(place: Place) -> None:
    dead = Told(gives_up=50)
    events = job_of(place, swept(place), dead).events()
    until(events, lambda event: isinstance(event, Measured) and event.percent == 25)
    events.close()
    # It had got to 50 % and said so, and its state is of before.
    told = Told({**dead.measured, 50: 0.3}, gives_up=50)
    job = job_of(place, swept(place), told)
    events = list(job.events())
    assert [event.start for event in events if isinstance(event, CohortStarted)] == [3]
    assert (told.reported, told.asked_at, told.end) == ([], [50], "pruned")
    assert run_of(place, told).stopped_at == 6


def test_a_checkpoint_of_another_sweep_is_gone_on_from_and_measured_from_there(place: Place) -> None:
    list(job_of(place, swept(place, **LATE), Told(gives_up=50)).events())
    told = Told()
    events = list(job_of(place, swept(place, **EARLY), told).events())
    assert [event.start for event in events if isinstance(event, CohortStarted)] == [6]
    assert told.reported == [50, 75] and told.end == "complete"


def test_a_claim_that_is_lost_leaves_the_trial_to_whoever_has_it(place: Place) -> None:
    told = Told(lost_at=50)
    job = job_of(place, swept(place), told)
    events = list(job.events())
    assert isinstance(events[-1], Note) and "taken over" in events[-1].text
    assert job.state == "running" and not told.end and told.released == 1
    run = run_of(place, told)
    assert (run.resume_path / "state.pt").is_file() and not (run.path / "lease").exists()


def test_a_loss_that_is_not_finite_fails_the_trial(place: Place) -> None:
    told = Told()
    job = job_of(place, swept(place), told, train__lr=1e30, train__clip=None, train__warmup=0.0)
    list(job.events())
    assert job.state == "failed" and told.end.startswith("failed: trial 7, seed 1000: ") and "not finite" in job.reason
    assert run_of(place, told).state == "failed" and told.cost_nothing is False


def test_a_combination_that_a_part_refuses_fails_the_trial(place: Place) -> None:
    told = Told()
    job = job_of(place, swept(place), told, objective__expand__eps=-1.0)
    assert not list(job.events()) and job.state == "failed" and "eps" in told.end


def test_what_a_run_costs_is_read_from_its_record(place: Place) -> None:
    told = Told()
    objectives = ({}, {"cost": "train_pflops"}, {"cost": "parameters"})
    list(job_of(place, swept(place, pruner="none", objectives=objectives), told).events())
    compute = run_of(place, told).info["compute"]
    assert told.values[1:] == (compute["train_pflops"], compute["parameters"])


def test_the_value_of_several_tasks_is_their_mean(place: Place) -> None:
    text = place.file.read_text()
    second = '{ use = "npz", path = "tiny.npz", name = "again", unit = "dn" }'
    place.file.write_text(text.replace("tasks = [{", f"tasks = [{second}, {{"))
    told = Told()
    list(job_of(place, swept(place, objectives=({"probe": "linear"},)), told).events())
    found = [json.loads(path.read_text()) for path in (run_of(place, told).path / "select").glob("*.json")]
    assert {score["task"] for score in found} == {"tiny", "again"} and {score["probe"] for score in found} == {"linear"}
    assert told.values == (np.mean([score["value"] for score in found]),)


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [
        (0.25, 12, {3: (25,), 6: (50,), 9: (75,)}),
        (0.25, 1000, {250: (25,), 500: (50,), 750: (75,)}),
        (0.4, 10, {4: (40,), 8: (80,)}),
        (0.5, 1, {}),
        (0.1, 3, {1: (10, 20, 30), 2: (40, 50, 60)}),
    ],
)
def test_when_a_training_is_looked_at(every: float, steps: int, expected: dict[int, tuple[int, ...]]) -> None:
    assert looks(Measure(every=every), steps) == expected


def test_percents_are_the_same_for_every_length() -> None:
    def every(steps: int) -> list[int]:
        return [percent for told in looks(Measure(every=0.07), steps).values() for percent in told]

    assert every(1000) == every(100) == [7 * place for place in range(1, 15)]
