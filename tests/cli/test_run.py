"""The commands as people type them: run, plan, runs, score, report, and what a mistake gets."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from deo_bench.cli import main
from deo_bench.cli.display import Display
from deo_bench.experiments.events import Event, Stepped
from tests.tiny import EXPERIMENT, write_npz


class Shell:
    """A working folder, and commands typed in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def __call__(self, *words: str, status: int = 0) -> str:
        """What a command prints; it must exit with this status."""
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(words)
        said = self.capsys.readouterr()
        assert stopped.value.code == status, said.out + said.err
        return said.out + said.err


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    write_npz(tmp_path / "data")
    text = EXPERIMENT.replace("seeds = [0, 1]", "seeds = [0]").replace("steps = 6", "steps = 2")
    (tmp_path / "tiny.toml").write_text(text)
    return Shell(tmp_path, capsys)


def test_from_a_plan_to_a_report(shell: Shell) -> None:
    assert "to train: 3 of 3 runs in 2 cohorts" in shell("plan", "tiny.toml", "--data", "data")
    said = shell("run", "tiny.toml", "--data", "data", "--plain")
    assert "3 runs trained" in said and "weight=1.0" in said and "untrained" in said
    assert "majority class" in said and "report: reports/tiny/index.html" in said
    written = {path.name for path in (shell.folder / "reports" / "tiny").iterdir()}
    assert {"index.html", "table.md", "table.tex", "table.csv", "scores.csv"} <= written

    again = shell("run", "tiny.toml", "--data", "data", "--format", "markdown")
    assert "3 runs trained" not in again and "| weight=1.0 |" in re.sub(r" +", " ", again)
    assert "nothing to do: 3 runs" in shell("plan", "tiny.toml", "--data", "data")
    assert shell("runs").count("done") == 3
    assert r"\toprule" in shell("run", "tiny.toml", "--data", "data", "--format", "latex")

    name = next(path.name for path in (shell.folder / "runs").iterdir() if "-s0" in path.name)
    task = '{use="npz", path="tiny.npz", name="tiny", unit="dn"}'
    said = shell("score", name[:6], "--task", task, "--protocol", "scenes-v1", "--data", "data")
    assert name in said and "knn5_l2" in said

    (shell.folder / "answer.toml").write_text('title = "T"\nexperiment = "tiny.toml"\n')
    assert "reports/answer/index.html" in shell("report", "answer.toml", "--data", "data")
    assert "up to date" in shell("report", "answer.toml", "--data", "data", "--check")
    (shell.folder / "reports" / "answer" / "table.md").write_text("other")
    assert "table.md" in shell("report", "answer.toml", "--data", "data", "--check", status=1)


def test_ctrl_c_stops_between_two_steps_and_says_how_to_go_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Display.show

    def show(self: Display, event: Event) -> None:
        shown(self, event)
        if isinstance(event, Stepped):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Display, "show", show)
    said = shell("run", "tiny.toml", "--data", "data", "--plain", status=130)
    assert "the same command goes on from here" in said
    states = list((shell.folder / "runs").rglob("state.pt"))
    assert len(states) == 2 and not list((shell.folder / "runs").rglob("lease"))
    monkeypatch.setattr(Display, "show", shown)
    assert "goes on from step 1" in shell("run", "tiny.toml", "--data", "data", "--plain")


def test_a_run_that_fails_is_exit_status_one(shell: Shell) -> None:
    (shell.folder / "broken.py").write_text(
        "from deo_bench.losses import PairLoss, loss\n\n\n"
        '@loss("broken")\nclass Broken(PairLoss):\n    """Not a number."""\n\n'
        "    def pair(self, student, target):\n        return student.sum() * float('nan')\n"
    )
    text = (shell.folder / "tiny.toml").read_text().replace("[data]", 'parts = ["broken.py"]\n[data]', 1)
    text += '\n[objective.bad]\nloss = "broken"\ntoward = "spectral"\nhead = "views"\n'
    (shell.folder / "tiny.toml").write_text(text)
    said = shell("run", "tiny.toml", "--data", "data", "--plain", status=1)
    assert "objective.bad is nan at step 0" in said and "failed" in shell("runs")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "nothing"), "no experiments/nothing.toml"),
        (("run", "quickstrat"), "did you mean 'quickstart'"),
        (("run", "gone.toml"), "no such file"),
        (("run", "tiny.toml"), "no folder of data is given"),
        (("run", "tiny.toml", "--data", "elsewhere"), "tiny.npz is not there"),
        (("run", "tiny.toml", "--data", "data", "--set", "train.stepz=3"), "did you mean 'steps'"),
        (("run", "tiny.toml", "--data", "data", "--set", "train.steps"), "expected a.b=c"),
        (("run", "tiny.toml", "--data", "data", "--set", "train.steps=few"), "train.steps"),
        (("run", "tiny.toml", "--data", "data", "--seeds", "a"), "expected numbers"),
        (("run", "tiny.toml", "--data", "data", "--format", "html"), "--format 'html'"),
        (("run", "tiny.toml", "--data", "data", "--set", 'tasks=["m-eurosta"]'), "did you mean 'm-eurosat'"),
        (("run", "tiny.toml", "--data", "data", "--set", 'protocols=["tgb"]'), "unknown protocol 'tgb'"),
        (("run", "tiny.toml", "--data", "data", "--set", 'baselines=["image_stat"]'), "did you mean 'image_stats'"),
        (("run", "tiny.toml", "--data", "data", "--set", 'report="gone.toml"'), "gone.toml"),
        (("score", "nobody", "--task", "m-eurosat"), "unknown run, backbone or file 'nobody'"),
        (("report", "nothing"), "no reports/nothing.toml"),
    ],
)
def test_a_mistake_is_one_line_and_status_two(shell: Shell, words: tuple[str, ...], told: str) -> None:
    said = shell(*words, status=2)
    assert said.startswith("error: ") and told in said and said.count("\n") == 1
