"""What a sweep's display says: of trials by any process, of workers, and of the time left."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from deo_bench.cli import sweeping
from deo_bench.cli.sweeping import SweepDisplay
from deo_bench.experiments.events import Event, Note
from deo_bench.experiments.sweep.events import TrialEnded
from deo_bench.experiments.sweep.progress import Finals, Sight, best_of, seconds_left
from deo_bench.experiments.sweep.wording import told_left, told_sight, told_trial, worker_words
from deo_bench.experiments.sweep.workers import Worker
from deo_bench.reports.searched import Aim, Axis, Searched, Tried

AIM = Aim("knn5", "max", is_share=True, tasks=("tiny",), probe="knn5")
AXES = (Axis("objective.expand.weight", "expand.weight", low=0.1, high=3.0), Axis("train.batch", "batch"))


def tried(number: int, value: float | None, state: str = "complete", **given: object) -> Tried:
    settings = {"objective.expand.weight": 0.25 * (number + 1), "train.batch": 16}
    values = (value,) if state == "complete" else (None,)
    return Tried(number, state, values, settings, seconds=10.0, **given)  # type: ignore[arg-type]


def study(*trials: Tried, cell: str = "", wanted: int = 6, aim: Aim = AIM) -> Searched:
    return Searched(cell, f"tiny {cell}", (aim,), AXES, tuple(trials), (), wanted)


def test_the_best_is_by_the_first_aim_and_its_direction_and_the_earlier_of_equals() -> None:
    trials = (tried(0, 0.5), tried(1, 0.8), tried(2, 0.8), tried(3, None, "pruned"), tried(4, None, "running"))
    assert best_of(study(*trials)).number == 1  # type: ignore[union-attr]
    assert best_of(study(*trials, aim=replace(AIM, direction="min"))).number == 0  # type: ignore[union-attr]
    assert best_of(study(tried(0, None, "failed"))) is None


def test_the_time_left_is_of_what_was_trained_over_the_workers_there_are() -> None:
    free = replace(tried(1, 0.5, cost_nothing=True), seconds=1000.0)
    pruned = replace(tried(2, None, "pruned"), seconds=4.0)
    failed = replace(tried(3, None, "failed"), seconds=900.0)
    one = study(tried(0, 0.5), free, pruned, failed, tried(4, None, "running"), wanted=8)
    half = Worker("here", 1, 0, "training", trial=4, step=3, steps=6)
    idle = Worker("here", 2, 1, "waiting")
    # Four are left, half of one is done; a trial takes (10 + 4) / 2 s. Six finalists' runs take 10 s each.
    assert seconds_left([one], [half]) == pytest.approx(3.5 * 7)
    assert seconds_left([one], [half, idle], 6) == pytest.approx((3.5 * 7 + 60) / 2)
    assert seconds_left([study(free, wanted=3)], [half]) is None
    first = replace(tried(0, 0.5), seconds=500.0)
    assert seconds_left([study(first, tried(1, 0.5), tried(2, 0.5), wanted=4)], []) == pytest.approx(10.0)
    assert seconds_left([study(tried(0, 0.5), wanted=1)], []) == 0.0


def test_everything_is_said_in_words() -> None:
    trials = (tried(0, 0.5, is_default=True), tried(1, 0.8), tried(2, None, "pruned", measured={0.5: 0.1, 0.25: 0.2}))
    seen = Sight(
        (study(*trials, tried(3, None, "failed"), tried(4, None, "running"), cell="ema"),),
        (Worker("here", 7, 2, "training", "ema", 4, step=30, steps=60, rate=33.4, percent=40, measured=0.712),),
        Finals(8, 3, 40, 10),
    )
    cell, finals, worker, left = told_sight(seen)
    assert cell == "ema: 4 of 6 trials (1 pruned, 1 failed, 1 running), best 80.0 at expand.weight=0.5, batch=16"
    assert finals == "fresh seeds: 3 of 8 runs, 10 of 40 scores"
    assert worker == "worker 2 ema, trial 4 step 30 of 60 33 images/s 71.2 at 40 %"
    assert left == "about 15 s left"
    assert told_trial(seen.studies[0], trials[0]).endswith("batch=16 (the recipe as it stands); 10 s")
    assert told_trial(seen.studies[0], trials[2]) == (
        "ema: trial 2: pruned after 50%; expand.weight=0.75, batch=16; 10 s"
    )
    assert told_left(600) == "about 10 min left" and told_left(7200) == "about 2.0 h left" and told_left(None) == ""


def test_what_a_worker_measured_is_in_the_unit_of_the_aim() -> None:
    worker = Worker("here", 7, 2, "training", "heights", 4, step=30, steps=60, percent=40, measured=0.7712)
    rmse = Aim("reg ridge", "min", is_share=False, tasks=("reg",), probe="ridge")
    for aim, words in ((rmse, "0.7712 at 40 %"), (AIM, "77.1 at 40 %")):
        assert worker_words(worker, (study(aim=aim, cell="heights"),))[-1] == words
    assert worker_words(worker, ())[-1] == "77.1 at 40 %"


def said(trials: list[Tried], plain: bool, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a display says of a study that gets a trial with each event, a second apart."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    stream, there = io.StringIO(), trials[:1]
    console = Console(file=stream, force_terminal=not plain, width=140, color_system=None)
    with SweepDisplay(console, lambda: Sight((study(*there),)), plain) as display:
        for number, event in enumerate(events, 1):
            clock[0] += 1.0
            there += trials[number : number + 1]
            display.show(event)
    return stream.getvalue()


def test_every_ended_trial_is_a_line_and_all_of_it_one_each_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [tried(0, 0.5), tried(1, 0.6), tried(2, 0.7)]
    events: list[Event] = [TrialEnded("", 1, "complete"), Note("hm"), *[Event()] * 28]
    lines = said(trials, True, events, monkeypatch).splitlines()
    assert [line.partition(":")[0] for line in lines[:3]] == ["trial 1", "hm", "trial 2"]
    assert len(lines) == 5 and all(line.startswith("3 of 6 trials") for line in lines[3:])


def test_a_terminal_gets_a_line_a_cell_that_is_cleared_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping.Live, "start", lambda self: None)
    monkeypatch.setattr(sweeping.Live, "stop", lambda self: None)
    text = said([tried(0, 0.5), tried(1, 0.6)], False, [TrialEnded("", 1, "complete"), *[Event()] * 20], monkeypatch)
    assert text.count("trial 1: 60.0") == 1 and text.count("\n") == 1
    console = Console(file=io.StringIO(), force_terminal=True, width=140, color_system=None)
    workers = (Worker("here", 7, None, "waiting"),)
    with SweepDisplay(console, lambda: Sight((study(tried(0, 0.5)),), workers)) as display:
        console.print(display._drawn())
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 of 6 trials" in drawn and "best 50.0" in drawn and "here, process 7" in drawn and "50 s left" in drawn
