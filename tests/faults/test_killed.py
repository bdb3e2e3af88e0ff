"""Killed at any moment and started again, the same command ends with the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

import deo_bench.engine.embed
import deo_bench.engine.train
import deo_bench.experiments.scoring
from deo_bench.experiments.events import Note, RunEnded, Waiting
from deo_bench.probes.knn import Knn
from deo_bench.store import Lease
from deo_bench.targets.channel_std import ChannelStd
from deo_bench.teachers.ema import Ema
from tests.faults.children import Arm, Child, after, before, dies, halfway, of, to
from tests.faults.conftest import Place

STUDENT, EMA, KEPT = "student.safetensors", "ema.safetensors", "student-0000002.safetensors"


def scores(kind: str):  # type: ignore[no-untyped-def]
    """Of a rename's arguments: whether it puts a score (`.json`) or its predictions (`.npz`) in place."""
    return lambda source, target: Path(target).parent.name == "scores" and Path(target).suffix == kind


def renewing(arm: Arm) -> Arm:
    """A claim that is renewed all the time, so that the moment comes while the run is short."""

    def armed(befall) -> None:  # type: ignore[no-untyped-def]
        Lease.__init__.__defaults__ = (0.001, 60.0)
        arm(befall)

    return armed


MOMENTS: dict[str, Arm | tuple[Arm, ...]] = {
    "the pack's images, in fsync": before(os, "fsync", of("images.bin")),
    "the pack's description, in fsync": before(os, "fsync", of("pack.json")),
    "the pack, between its folder and its name": before(Path, "rename", to("packs")),
    "a claim, before its file has a name": before(os, "link"),
    "a claim, just made": after(os, "link"),
    "a claim, while it is renewed": renewing(before(Path, "replace", to("lease"), nth=2)),
    "a dead process's claim, half taken over": (after(os, "link"), after(Path, "rename", of("lease"))),
    "the recipe, between temporary file and name": before(os, "replace", to("recipe.json")),
    "the teacher's statistics, being fitted": before(ChannelStd, "fit"),
    "the teacher's statistics, between temporary file and name": before(os, "replace", to("statistics")),
    "a crop": before(deo_bench.engine.train, "draw_crops", nth=4),
    "half a training step": before(Ema, "follow", nth=3),
    "a checkpoint, half of its bytes written": halfway("state.pt", nth=2),
    "a checkpoint, between temporary file and name": before(os, "replace", to("state.pt"), nth=2),
    "the first checkpoint, with the log already written": before(os, "replace", to("state.pt")),
    "a checkpoint, just in place": after(os, "replace", to("state.pt"), nth=2),
    "the log, in fsync": before(os, "fsync", of("train.jsonl"), nth=2),
    "the weights of a step, with the teacher's still to come": after(os, "replace", to(KEPT)),
    "the weights, in fsync": before(os, "fsync", of(STUDENT)),
    "the weights, with the teacher's still to come": before(os, "replace", to(EMA)),
    "the fitted targets, between temporary file and name": before(os, "replace", to("targets.safetensors")),
    "run.json, half of its bytes written": halfway("run.json"),
    "run.json, between temporary file and name": before(os, "replace", to("run.json")),
    "run.json, with the state to resume from still there": before(shutil, "rmtree", of("resume")),
    "an encoding pass": before(deo_bench.engine.embed, "images_of", nth=2),
    "the embeddings, between temporary file and name": before(os, "replace", to("embeddings"), nth=2),
    "a probe": before(Knn, "predict", nth=2),
    "a prediction, between temporary file and name": before(os, "replace", scores(".npz"), nth=2),
    "a score, with its prediction just in place": after(os, "replace", scores(".npz"), nth=3),
    "a score, half of its bytes written": halfway("tiny.knn20_cos", nth=2),
    "a score, between temporary file and name": before(os, "replace", scores(".json"), nth=2),
    "a score, just in place": after(os, "replace", scores(".json"), nth=2),
    "maps, before they are looked at": before(deo_bench.experiments.scoring, "feature_maps"),
    "maps, in fsync": before(os, "fsync", of("maps")),
    "maps, between temporary file and name": before(os, "replace", to("maps")),
    "maps, just in place": after(os, "replace", to("maps")),
    "a claim, given back": before(Path, "unlink", of("lease"), nth=2),
}


def kill(place: Place, arm: Arm, trace: Path) -> None:
    """Let a child carry out the experiment and die at a moment that it must have come to."""

    def work() -> None:
        arm(dies(trace))
        place.carry_out()

    child = Child(work, trace.with_suffix(".said"))
    status = child.wait()
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{status}: {child.said}"
    assert trace.exists(), "something else killed it"


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_started_again_it_ends_with_the_same_bytes(
    place: Place, finished: Place, tmp_path: Path, moment: str
) -> None:
    arms = MOMENTS[moment]
    for number, arm in enumerate(arms if isinstance(arms, tuple) else (arms,)):
        kill(place, arm, tmp_path / f"trace{number}")
        place.check_whole(finished)
    plan = place.plan()
    assert plan.runs_to_do() or plan.scores_to_do() or plan.maps_to_do(), "nothing was left to do"
    _, events = place.carry_out()
    assert not any(isinstance(event, Waiting) for event in events), "a dead process of this machine holds nothing"
    place.check_ends(finished)


def test_killed_again_and_again_it_comes_to_the_same_end(place: Place, finished: Place, tmp_path: Path) -> None:
    lives = 0
    while (plan := place.plan()).runs_to_do() or plan.scores_to_do() or plan.maps_to_do():
        kill(place, before(os, "replace", nth=3), tmp_path / f"trace{lives}") if lives < 5 else place.carry_out()
        lives += 1
    assert lives == 6
    place.check_ends(finished)


def test_a_run_goes_on_from_its_checkpoint_and_not_from_its_beginning(place: Place, tmp_path: Path) -> None:
    kill(place, before(os, "replace", to("run.json")), tmp_path / "trace")
    outcome, events = place.carry_out()
    assert [event.text for event in events if isinstance(event, Note)] == ["weight=1.0, seed 0, goes on from step 2"]
    assert outcome.trained == 1 and sum(isinstance(event, RunEnded) for event in events) == 1


def test_the_claim_of_a_killed_process_elsewhere_is_waited_for_and_taken(
    place: Place, finished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(place, before(Ema, "follow", nth=2), tmp_path / "trace")
    (lease,) = place.store.rglob("lease")
    lease.write_text("elsewhere:" + lease.read_text().partition(":")[2])
    monkeypatch.setattr(Lease.__init__, "__defaults__", (5.0, 0.3))
    monkeypatch.setattr("deo_bench.experiments.launch.WAIT_SECONDS", 0.02)
    _, events = place.carry_out()
    assert any(isinstance(event, Note) and "waiting for it" in event.text for event in events)
    place.check_ends(finished)
