"""`deo-bench sweep` as people type it: begun, gone on with, changed, stopped, looked at, and wrong."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from deo_bench.cli.sweeping import SweepDisplay
from deo_bench.experiments.events import Event, Stepped
from deo_bench.experiments.sweep.workers import FOLDER
from tests.cli.test_run import Shell
from tests.sweeping import SWEEP, Place

RUN = ("--data", "data", "--plain", "--device", "cpu")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    return Shell(tmp_path, capsys)


@pytest.fixture
def place(shell: Shell) -> Place:
    return Place(shell.folder)


def ended(said: str) -> list[int]:
    """The trials that are said to have ended."""
    return [int(number) for number in re.findall(r"^trial (\d+): ", said, re.MULTILINE)]


def test_from_a_file_to_a_report_again_and_with_more(shell: Shell, place: Place) -> None:
    assert "0 of 4 trials" in shell("plan", "tiny.toml", "--data", "data")
    assert not (place.store / "sweeps").exists(), "looking makes nothing"
    said = shell("sweep", "tiny.toml", *RUN)
    assert ended(said) == [0, 1, 2, 3] and "trial 0: " in said and "(the recipe as it stands)" in said
    assert "report: reports/tiny/index.html" in said and "fresh seeds" in said
    page = (shell.folder / "reports" / "tiny" / "index.html").read_text()
    assert "What was found, and what fresh seeds say of it" in page
    assert "Settings of the finalists" in page and "# study " in page
    assert {"best.toml", "settings.csv"} <= {path.name for path in (shell.folder / "reports" / "tiny").iterdir()}
    (study,) = place.searched()
    assert [trial.state for trial in study.trials] == ["complete"] * 4
    rows = [each.row for each in study.finalists]
    assert rows[0] == "default" and len(rows) == 2 and study.finalists[0].searched == study.trials[0].values
    assert all(set(values) == {0} for each in study.finalists for values in each.fresh)
    assert not list((place.store / "sweeps").rglob("*.lease")) and not list(
        (place.store / "sweeps" / "tiny" / FOLDER).glob("*.json")
    )

    before = place.written()
    said = shell("sweep", "tiny.toml", *RUN, "--format", "markdown")
    assert not ended(said) and "default" in said
    assert place.written() == before, "nothing is done twice"
    said = shell("plan", "tiny.toml", "--data", "data")
    assert "4 of 4 trials  best" in said and "nothing to do" in said

    place.file.write_text(SWEEP.replace("trials = 4", "trials = 5"))
    assert "4 of 5 trials" in shell("plan", "tiny.toml", "--data", "data")
    assert "s0  " not in shell("runs", "prune", "--keep", "tiny.toml", "--data", "data"), "it may be a finalist again"
    assert ended(shell("sweep", "tiny.toml", *RUN)) == [4]

    said = shell("runs", "tiny.toml", "--data", "data")
    assert said.count("trial ") >= 5 and "missing" not in said
    (shell.folder / "answer.toml").write_text('title = "T"\nexperiment = "tiny.toml"\nbaseline = "default"\n')
    assert "reports/answer/index.html" in shell("report", "answer.toml", "--data", "data")
    assert "up to date" in shell("report", "answer.toml", "--data", "data", "--check")
    kept = place.trained()
    shell("runs", "prune", "--keep", "tiny.toml", "--data", "data", "--yes", "--scores")
    assert place.trained() == kept


def test_a_changed_range_is_another_study_in_which_runs_that_are_there_cost_nothing(shell: Shell, place: Place) -> None:
    text = SWEEP.replace("trials = 4", "trials = 2").replace("tpe", "grid").replace(", n_startup_trials = 2", "")
    text = text.replace("train.lr = { low = 1e-4, high = 1e-2, log = true }", "train.lr = [1e-3]")
    place.file.write_text(text.replace("{ low = 0.1, high = 3.0, log = true }", "[1.0, 2.0]"))
    shell("sweep", "tiny.toml", *RUN)
    first = place.trained()
    place.file.write_text(
        text.replace("{ low = 0.1, high = 3.0, log = true }", "[1.0, 2.0, 3.0]").replace("trials = 2", "trials = 3")
    )
    said = shell("sweep", "tiny.toml", *RUN)
    assert ended(said) == [0, 1, 2] and said.count("its run was there") == 2
    (study,) = place.searched()
    assert sum(trial.cost_nothing for trial in study.trials) == 2
    assert len({trial.run for trial in study.trials} - first) == 1


def test_ctrl_c_stops_between_two_steps_and_the_same_command_goes_on(
    shell: Shell, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, steps = SweepDisplay.show, []

    def show(self: SweepDisplay, event: Event) -> None:
        shown(self, event)
        if isinstance(event, Stepped):
            steps.append(event.step)
            if len(steps) == 8:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SweepDisplay, "show", show)
    said = shell("sweep", "tiny.toml", *RUN, status=130)
    assert "the same command goes on from here" in said and ended(said) == [0]
    assert [trial.state for trial in place.searched()[0].trials] == ["complete", "running"]
    assert not list(place.store.rglob("*lease")) and len(list(place.store.rglob("state.pt"))) == 1
    said = shell("sweep", "tiny.toml", *RUN)
    assert "goes on from step 2" in said and ended(said) == [1, 2, 3]


@pytest.mark.slow
def test_two_workers_share_a_sweep_and_are_drawn_together(shell: Shell, place: Place) -> None:
    said = shell("sweep", "tiny.toml", *RUN, "--workers", "2", "--threads", "1")
    assert sorted(ended(said)) == [0, 1, 2, 3] and "report: " in said
    assert len(list((place.store / "sweeps" / "tiny" / FOLDER).glob("worker-*.txt"))) == 2
    (study,) = place.searched()
    assert [trial.state for trial in study.trials] == ["complete"] * 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("objective.expand.weight =", "objective.expnad.weight ="), "did you mean 'expand'"),
        (("low = 0.1, high = 3.0", "low = 3.0, high = 0.1"), "objective.expand.weight"),
        (("low = 0.1, high = 3.0", "low = 0.1, hgih = 3.0"), "did you mean 'high'"),
        (('use = "tpe"', 'use = "tpee"'), "did you mean 'tpe'"),
        (("trials = 4", "trails = 4"), "did you mean 'trials'"),
        (("best = 1", 'best = 1\npruner = "medain"'), "did you mean 'median'"),
        (("best = 1", "best = 1\ntrial_seed = 0"), "sweep.trial_seed: 0 is one of the experiment's seeds"),
        (("best = 1", 'best = 1\nstorage = "mysql://a:secret@b/c"'), "mysql"),
        (("[sweep.space]", "[sweep.space]\nstudent.heads = [2, 3]"), "student.heads: 3 is refused"),
        (("best = 1", 'best = 1\nobjectives = [{ probe = "knn5" }]'), "knn5_l2"),
        (("best = 1", 'best = 1\nobjectives = [{ tasks = ["tinny"] }]'), "did you mean 'tiny'"),
    ],
)
def test_a_wrong_file_is_one_line_before_the_first_trial(
    shell: Shell, place: Place, change: tuple[str, str], told: str
) -> None:
    assert change[0] in SWEEP
    place.file.write_text(SWEEP.replace(*change))
    said = shell("sweep", "tiny.toml", *RUN, status=2)
    assert said.startswith("error: ") and told in said and said.count("\n") == 1 and "secret" not in said
    assert not list(place.store.glob("*-s*"))


def test_run_and_sweep_point_at_each_other(shell: Shell, place: Place) -> None:
    said = shell("run", "tiny.toml", *RUN, status=2)
    assert "`deo-bench sweep tiny.toml` carries it out" in said and said.count("\n") == 1
    place.file.write_text(SWEEP.partition("[sweep]")[0])
    said = shell("sweep", "tiny.toml", *RUN, status=2)
    assert "`deo-bench run` carries it out" in said and said.count("\n") == 1
