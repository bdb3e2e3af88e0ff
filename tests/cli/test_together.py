"""Workers of `deo-bench sweep --workers`: what becomes of them is told, whichever way they end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from deo_bench.cli import sweep, together
from deo_bench.cli.together import ALL_FAILED, SOME_FAILED, STARTED_BY, command_of
from deo_bench.engine.evaluate import Evaluator
from deo_bench.engine.request import Request
from deo_bench.errors import UserError
from deo_bench.experiments.sweep import built
from tests.cli.test_run import Shell
from tests.sweeping import SWEEP, Place

RUN = ("--data", "data", "--plain", "--device", "cpu")
TEXT = SWEEP.replace("trials = 4", "trials = 1")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(built, "check_built", lambda *_: None)
    return Shell(tmp_path, capsys)


@pytest.fixture
def place(shell: Shell) -> Place:
    return Place(shell.folder, TEXT)


def works(monkeypatch: pytest.MonkeyPatch, code: str) -> list[list[str]]:
    """Have workers run this code; the commands that they would have run."""
    meant: list[list[str]] = []

    def command(*given: Any) -> list[str]:
        meant.append(command_of(*given))
        return [sys.executable, "-c", f"import sys; number = int(sys.argv[1])\n{code}"]

    monkeypatch.setattr(sweep, "command_of", command)
    return meant


def test_where_all_workers_break_off_their_last_words_are_told(
    shell: Shell, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch, "raise ZeroDivisionError(f'of worker {number}')")
    said = shell("sweep", "tiny.toml", *RUN, "--workers", "2", status=1)
    for number in range(2):
        assert f"worker {number} ended with status 1" in said and f"ZeroDivisionError: of worker {number}\n" in said
    assert "every worker of tiny.toml has died" in said and "Traceback (most recent call last):\n  File" in said


def test_what_nobody_has_done_is_told_with_the_last_words_of_who_broke_off(
    shell: Shell, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch, "if number: raise ZeroDivisionError('of worker 1')")
    said = shell("sweep", "tiny.toml", *RUN, "--workers", "2", status=1)
    assert said.endswith(
        "failed: 1 trials are left to do; the same command goes on from here\n"
        "failed: worker 1 ended with status 1: ZeroDivisionError: of worker 1\n"
    )


def test_what_failed_is_told_as_by_one_process(shell: Shell, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Evaluator.score

    def score(self: Evaluator, request: Request, *given: Any) -> Any:
        if request.probe == "linear" and request.role == "report" and request.subject.endswith("-s0"):
            raise UserError("no line\nin two")
        return whole(self, request, *given)

    monkeypatch.setattr(Evaluator, "score", score)
    monkeypatch.setenv(STARTED_BY, str(os.getppid()))
    alone = shell("sweep", "tiny.toml", *RUN, "--worker", "0", status=SOME_FAILED)
    written = alone.partition(f"{ALL_FAILED}\n")[2]
    assert written.startswith("failed: ") and "on tiny, linear: no line" in written
    works(monkeypatch, f"print('at work'); print({alone!r}); sys.exit({SOME_FAILED})")
    said = shell("sweep", "tiny.toml", *RUN, "--workers", "2", status=1)
    told = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert told[0] == " ".join(written.splitlines()) and "scores with fresh seeds are left to do" in told[1]
    assert len(told) == 2 and "ended with status" not in said


def test_an_address_is_handed_over_where_no_list_of_processes_shows_it(
    shell: Shell, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import os; print('told', os.environ['{together.STORAGE}']); raise SystemExit(2)"
    meant = works(monkeypatch, code)
    address = f"sqlite:///{shell.folder}/secret.db"
    sets = ("--set", f'sweep.storage = "{address}"', "--set", "sweep.best=1")
    said = shell("sweep", "tiny.toml", *RUN, *sets, "--workers", "2", status=2)
    assert f"told {address}" in said
    assert not any("secret" in word for word in meant[0]) and "sweep.best=1" in meant[0]
