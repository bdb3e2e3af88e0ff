"""One trial's fault is its own: it is said in a line, the trials after it are made, and nothing blocks the sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deo_bench.errors import MissingInput, StoreError, UserError
from deo_bench.experiments import cohorts
from deo_bench.experiments.events import CohortStarted, Event, Scored, ScoringStarted, Stepped, Waiting
from deo_bench.experiments.sweep import trial as trial_module
from deo_bench.experiments.sweep.events import TrialEnded, TrialStarted
from deo_bench.experiments.sweep.launch import SweepLaunch
from deo_bench.experiments.sweep.storage import NoAnswer
from deo_bench.store import Lease
from tests.experiments.conftest import Place
from tests.experiments.sweep.told import SEED, Told, job_of, swept
from tests.sweeping import SWEEP
from tests.sweeping import Place as Sweeping

OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 3 GiB.\nSee the documentation"


def raising(error: Exception, first: int = 1, last: int = 1) -> Any:
    """Trains, but from the first to the last call raises."""
    real, calls = cohorts.train, [0]

    def train(*given: Any) -> Any:
        calls[0] += 1
        if first <= calls[0] <= last:
            raise error
        return real(*given)

    return train


def test_an_exception_of_a_part_fails_its_trial_and_the_sweep_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohorts, "train", raising(RuntimeError(OUT_OF_MEMORY), 2, 2))
    place = Sweeping(tmp_path, SWEEP.replace("trials = 4", "trials = 3"))
    launch = SweepLaunch(place.sweep(), "cpu")
    ended = [event for event in launch.events() if isinstance(event, TrialEnded)]
    assert [event.state for event in ended] == ["complete", "failed", "complete"]
    (failed,) = launch.failed
    assert failed.startswith("trial 1: RuntimeError: CUDA out of memory. Tried to allocate 3 GiB. (more in ")
    digest = place.sweep().cells[0].study[-8:]
    told = (place.store / "sweeps" / "tiny" / f"trial-{digest}-1.txt").read_text()
    assert "Traceback" in told and "See the documentation" in told
    assert [trial.state for trial in place.searched()[0].trials] == ["complete", "failed", "complete"]
    assert not list(place.store.rglob("*lease"))


def test_a_trial_that_its_workers_die_over_is_given_up(place: Place) -> None:
    told = Told()
    told.deaths = 2
    job = job_of(place, swept(place), told)
    events = job.events()
    next(events)
    events.close()
    assert told.released == 1 and not told.end
    told.deaths = 2
    job = job_of(place, swept(place, pruner="none"), told)
    job.checkpoint_seconds = 0.0
    events = job.events()
    steps = 0
    for event in events:
        steps += isinstance(event, Stepped)
        if steps == 2:
            break
    assert told.deaths == 0, "a checkpoint beyond those of the dead"
    events.close()
    told.deaths = 3
    assert not list(job_of(place, swept(place), told).events())
    assert told.end == "failed: 3 workers died or fell silent over it; it is not taken up again"


TAUGHT = """
[teachers.optical]
use = "run"
recipe = "taught.toml"
sees = "rgb"

[objective.optical]
loss = "cosine"
toward = "optical"
sees = "rgb"

[train]
"""


def test_what_is_made_for_a_trial_before_it_and_after_it_counts_as_getting_further(place: Place) -> None:
    text = place.file.read_text().partition("[grid]")[0]
    (place.folder / "taught.toml").write_text(text[text.index("[data]") :])
    place.file.write_text(text.replace("[train]", TAUGHT))
    experiment = swept(place, pruner="none", objectives=({"probe": "linear"}, {}))

    def dies_after(what: type[Event], nth: int) -> bool:
        """Whether two deaths before this one count no longer, where it comes at an event."""
        told = Told()
        told.deaths = 2
        job = job_of(place, experiment, told)
        job.checkpoint_seconds = 0.0
        events = job.events()
        for event in events:
            nth -= isinstance(event, what)
            if not nth:
                break
        else:
            pytest.fail("it came to its end")
        events.close()
        return told.deaths == 0

    assert dies_after(Stepped, 2), "a checkpoint of its teacher's run"
    assert not dies_after(CohortStarted, 1)
    assert dies_after(CohortStarted, 2), "its teacher's run is done"
    assert dies_after(ScoringStarted, 1), "its own run is done"
    assert not dies_after(ScoringStarted, 1)
    assert dies_after(Scored, 1)


def test_a_device_that_is_broken_for_this_process_ends_it_and_no_trial_after_it_fails(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(device: object = None) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(cohorts, "train", raising(RuntimeError("CUDA error: device-side assert triggered")))
    monkeypatch.setattr(trial_module.torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(trial_module.torch.cuda, "synchronize", broken)
    told = Told()
    with pytest.raises(UserError, match="can use its device no longer; the same command goes on"):
        list(job_of(place, swept(place), told).events())
    assert told.end == "failed: RuntimeError: CUDA error: device-side assert triggered"


@pytest.mark.parametrize("error", [NoAnswer("study mine: its storage does not answer"), OSError(28, "full")])
def test_what_the_next_trial_would_meet_too_fails_none(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(cohorts, "train", raising(error))
    told = Told()
    with pytest.raises(StoreError):
        list(job_of(place, swept(place), told).events())
    assert told.released == 1 and not told.end


def test_a_torn_record_is_looked_at_again_and_only_then_fails_the_trial(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "LOOKS_AGAIN", (0.0, 0.0))
    real, looks = trial_module.make_plan, [0]

    def torn(until: int) -> Any:
        looks[0] = 0

        def make_plan(*given: Any, **more: Any) -> Any:
            looks[0] += 1
            if looks[0] < until:
                raise StoreError("run.json: torn or foreign")
            return real(*given, **more)

        return make_plan

    monkeypatch.setattr(trial_module, "make_plan", torn(3))
    told = Told()
    assert sum(isinstance(event, Waiting) for event in job_of(place, swept(place), told).events()) == 2
    assert told.end == "complete"
    monkeypatch.setattr(trial_module, "make_plan", torn(4))
    told = Told()
    list(job_of(place, swept(place), told).events())
    assert told.end == "failed: run.json: torn or foreign"


def test_what_lacks_for_one_trial_fails_it_and_what_lacks_for_more_ends_the_sweep(place: Place) -> None:
    told = Told()
    job = job_of(place, swept(place), told, data__paths=["gone.npz"])
    assert not list(job.events())
    assert told.end.startswith("failed: cell trial 7: ") and "gone.npz" in told.end and "--skip-missing" not in told.end
    told = Told()
    job = job_of(place, swept(place), told, data__paths=["gone.npz"])

    def check() -> None:
        raise MissingInput("gone for all")

    job.check = check
    with pytest.raises(MissingInput, match="gone for all"):
        list(job.events())
    assert told.released == 1 and not told.end


def test_who_waits_while_another_makes_the_run_trains_nothing_and_costs_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Told(), Told()
    probe = job_of(place, swept(place), Told())
    list(probe.events())
    run = place.store / probe.run
    other = Place(place.folder / "other")
    lease = Lease(other.store / run.name / "lease")
    assert lease.take()
    events = job_of(other, swept(other), first).events()
    heard: list[Event] = []
    monkeypatch.setattr("deo_bench.experiments.launch.WAIT_SECONDS", 0.0)
    for event in events:
        heard.append(event)
        if isinstance(event, Waiting) and not second.end:
            lease.release()
            list(job_of(other, swept(other), second).events())
    assert (first.end, second.end) == ("complete", "complete") and first.run == second.run == run.name
    assert first.cost_nothing is True and second.cost_nothing is False and first.values == second.values
    assert run.name.endswith(f"-s{SEED}")


def test_a_caller_that_stops_at_the_start_of_a_trial_leaves_no_claim(tmp_path: Path) -> None:
    place = Sweeping(tmp_path)
    events = SweepLaunch(place.sweep(), "cpu").events()
    assert isinstance(next(events), TrialStarted)
    events.close()
    assert not list(place.store.rglob("*.lease")) and not list(place.store.rglob("workers/*.json"))
