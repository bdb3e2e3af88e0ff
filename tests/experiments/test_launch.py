"""A plan carried out: once, again, with more, with other data, stopped in the middle, and with a cell that fails."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deo_bench.errors import MissingInput, UserError
from deo_bench.experiments.events import Note, RunEnded, Stepped
from deo_bench.experiments.launch import Launch
from deo_bench.store import Lease
from tests.experiments.conftest import Place, files
from tests.tiny import write_npz


@pytest.fixture
def again(finished: Place, tmp_path: Path) -> Place:
    """A copy of the finished experiment, to go on with."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    place = Place.__new__(Place)
    place.folder = tmp_path / "copy"
    place.data, place.store, place.file = place.folder / "data", place.folder / "runs", place.folder / "tiny.toml"
    return place


def test_everything_is_there_once_it_is_done(finished: Place) -> None:
    plan = finished.plan()
    assert not plan.runs_to_do() and not plan.scores_to_do()
    assert len(plan.rows) == 5 and len(plan.runs) == 6
    # Three probes on each of 6 runs and of one baseline, and the majority class.
    assert len(plan.requests) == 3 * 7 + 1
    collapsing = plan.store.run(plan.rows[0].subjects[0][1])
    assert collapsing.info["state"] == "done" and collapsing.info["threads"] >= 1
    assert {"student.safetensors", "ema.safetensors", "recipe.json", "run.json", "train.jsonl"} <= {
        path.name for path in collapsing.path.iterdir()
    }
    assert not (collapsing.path / "resume").exists() and not (collapsing.path / "lease").exists()


def test_the_same_again_does_nothing(again: Place) -> None:
    before = files(again.store)
    outcome, events = again.carry_out(again.plan())
    assert events == [] and outcome.trained == outcome.scored == outcome.encoded == 0
    assert files(again.store) == before


def test_a_value_more_in_the_grid_makes_the_new_cells_alone(again: Place) -> None:
    again.file.write_text(again.file.read_text().replace("[0.0, 1.0]", "[0.0, 1.0, 0.5]"))
    outcome, events = again.carry_out(again.plan())
    assert outcome.trained == 2 and outcome.scored == 6
    assert {event.label for event in events if isinstance(event, RunEnded)} == {"weight=0.5"}


def test_a_new_task_trains_nothing(again: Place) -> None:
    write_npz(again.data, "other.npz", seed=5)
    task = 'tasks = [{ use = "npz", path = "other.npz", name = "other", unit = "dn" }, '
    again.file.write_text(again.file.read_text().replace("tasks = [", task))
    outcome, _ = again.carry_out(again.plan())
    assert outcome.trained == 0 and outcome.scored == 22


def test_a_new_probe_encodes_nothing(again: Place) -> None:
    shown = again.file.read_text().replace(
        'protocols = ["scenes-v1"]', 'protocols = [{ use = "scenes-v1", probes = { knn3 = { use = "knn", k = 3 } } }]'
    )
    again.file.write_text(shown)
    outcome, _ = again.carry_out(again.plan())
    assert outcome.trained == 0 and outcome.scored > 0 and outcome.encoded == 0


def test_other_data_are_another_run_and_the_same_elsewhere_are_not(again: Place) -> None:
    shutil.move(again.data, again.folder / "moved")
    plan = again.plan(data=again.folder / "moved")
    assert not plan.runs_to_do() and not plan.scores_to_do()
    write_npz(again.data, seed=3)
    other = again.plan()
    assert len(other.runs_to_do()) == 6 and len(other.scores_to_do()) == 22


def test_a_run_alone_and_in_a_grid_leaves_the_same_bytes(finished: Place, place: Place) -> None:
    place.file.write_text(
        place.file.read_text().replace("[0.0, 1.0]", "[1.0]").replace("seeds = [0, 1]", "seeds = [1]")
    )
    place.carry_out(place.plan())
    alone, together = files(place.store), files(finished.store)
    assert alone and all(together[name] == content for name, content in alone.items())


def test_stopped_in_the_middle_it_goes_on_and_ends_with_the_same_bytes(finished: Place, place: Place) -> None:
    launch = Launch(place.plan(), "cpu")
    events = launch.events()
    seen = 0
    for event in events:
        seen += isinstance(event, Stepped)
        if seen == 3:
            break
    events.close()
    assert list(place.store.rglob("state.pt")) and not list(place.store.rglob("lease"))
    _, later = place.carry_out(place.plan())
    assert any(isinstance(event, Note) and "goes on from step 3" in event.text for event in later)
    assert files(place.store) == files(finished.store)


def test_a_torn_checkpoint_is_said_and_the_run_begins_again(finished: Place, place: Place) -> None:
    events = Launch(place.plan(), "cpu").events()
    for event in events:
        if isinstance(event, Stepped) and event.step == 2:
            break
    events.close()
    for path in place.store.rglob("state.pt"):
        path.write_bytes(path.read_bytes()[:100])
    _, later = place.carry_out(place.plan())
    assert any(isinstance(event, Note) and "torn" in event.text for event in later)
    assert files(place.store) == files(finished.store)


def test_torn_weights_are_made_again(again: Place, finished: Place) -> None:
    run = again.plan().rows[1].subjects[0][1]
    path = again.store / run / "student.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    assert [planned.name for planned in again.plan().runs_to_do()] == [run]
    outcome, _ = again.carry_out(again.plan())
    assert outcome.trained == 1
    assert files(again.store) == files(finished.store)


def test_a_run_that_another_process_holds_is_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deo_bench.experiments.launch.WAIT_SECONDS", 0.01)
    place.file.write_text(place.file.read_text().replace("seeds = [0, 1]", "seeds = [0]"))
    plan = place.plan()
    held = {name: Lease(plan.store.run(name).path / "lease") for name in plan.runs}
    assert all(lease.take() for lease in held.values())
    for event in Launch(plan, "cpu").events():
        if isinstance(event, Note):
            assert "another process" in event.text
            for lease in held.values():
                lease.release()
    assert not place.plan().runs_to_do()


def test_a_cell_that_fails_is_recorded_and_the_others_go_on(place: Place, tmp_path: Path) -> None:
    own = tmp_path / "broken.py"
    own.write_text(
        "from deo_bench.losses import PairLoss, loss\n\n\n"
        '@loss("broken")\nclass Broken(PairLoss):\n    """Not a number after a while."""\n\n'
        "    def pair(self, student, target):\n        return student.sum() * float('nan')\n"
    )
    text = place.file.read_text().replace("seeds = [0, 1]", f'seeds = [0]\nparts = ["{own}"]')
    text += '\n[objective.bad]\nloss = "broken"\ntoward = "spectral"\nhead = "views"\n'
    place.file.write_text(text.replace("objective.expand.weight = [0.0, 1.0]", "objective.bad.weight = [0.0, 1.0]"))
    outcome, events = place.carry_out(place.plan())
    reasons = [event.reason for event in events if isinstance(event, RunEnded) and event.reason]
    assert len(reasons) == 1 and "objective.bad is nan at step 0" in reasons[0]
    assert outcome.trained == 2 and any("bad is nan" in line for line in outcome.failed)
    run = place.plan().runs_to_do()
    assert len(run) == 1 and place.plan().store.run(run[0].name).info["state"] == "failed"


def test_missing_data_end_it_before_the_first_run_or_are_skipped(place: Place) -> None:
    text = place.file.read_text()
    place.file.write_text(
        text.replace("[0.0, 1.0]", "[1.0]") + '\n[[cells]]\nname = "gone"\ndata.paths = ["gone.npz"]\n'
    )
    with pytest.raises(MissingInput, match=r"cell gone: .*gone.npz.*--skip-missing"):
        place.plan()
    plan = place.plan(skip_missing=True)
    assert [row.label for row in plan.rows][:1] == ["weight=1.0"] and "cell gone is left out" in plan.missing[0]


def test_missing_weights_are_said_before_the_first_run(place: Place) -> None:
    text = place.file.read_text() + '\n[teachers.optical]\nuse = "dinov2_vitb14"\n'
    text += '[objective.optical]\nloss = "cosine"\ntoward = "optical"\nsees = "rgb"\n'
    place.file.write_text(text)
    with pytest.raises(MissingInput, match="dinov2_vitb14.*weights"):
        place.plan()


def test_steps_that_are_scored_keep_their_weights(place: Place) -> None:
    text = place.file.read_text().replace("seeds = [0, 1]", 'seeds = [0]\nscore_at = [3]\nweights = ["student", "ema"]')
    place.file.write_text(text.replace("[0.0, 1.0]", "[1.0]"))
    plan = place.plan()
    place.carry_out(plan)
    run = plan.store.run(plan.rows[0].subjects[0][1])
    assert run.weights("student", 3).is_file() and run.weights("ema", 3).is_file()
    assert run.weights("student", 3).read_bytes() != run.weights("student").read_bytes()
    scores = [request for request in plan.requests if request.subject == run.name]
    assert {(request.weights, request.step) for request in scores} == {
        ("student", None), ("student", 3), ("ema", None), ("ema", 3),
    }  # fmt: skip
    assert not place.plan().scores_to_do()


def test_weights_that_are_not_there_are_a_failed_score(place: Place) -> None:
    with pytest.raises(UserError, match="bands: task 'tiny' has no 's2_13'"):
        place.file.write_text(place.file.read_text().replace("[data]", 'bands = ["s2_13"]\n[data]', 1))
        place.plan()
