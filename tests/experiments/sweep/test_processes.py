"""Processes that work together: they are started, end, die, and are asked to end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deo_bench.errors import CannotWrite
from deo_bench.experiments.sweep.processes import Crew

SLEEPS = (
    "import os, signal, sys, time\n"
    "def end(*_):\n    print('saved', flush=True); sys.exit(130)\n"
    "signal.signal(signal.SIGINT, {handler})\n"
    "print('at work', os.environ['WORD'], sys.argv[1], flush=True)\n"
    "time.sleep(60)\n"
)


def crew(folder: Path, code: str, count: int = 2) -> Crew:
    return Crew([sys.executable, "-c", code], count, folder / "workers", {"WORD": "hello"})


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def both_at_work(made: Crew) -> None:
    until(lambda: all(f"at work hello {number}" in made.last_words(number) for number in range(2)))


def test_they_end_by_themselves_each_with_its_number_and_its_status(tmp_path: Path) -> None:
    made = crew(tmp_path, "import sys; print('\\n'.join('abcdefg')); sys.exit(int(sys.argv[1]))")
    made.start()
    until(lambda: (made.ended(), not made.is_at_work)[1])
    assert made.statuses == {0: 0, 1: 1} and made.ended() == []
    assert made.last_words(1) == list("cdefg") and made.told(1) == "ended with status 1"


def test_asked_to_end_they_save_and_end(tmp_path: Path) -> None:
    made = crew(tmp_path, SLEEPS.format(handler="end"))
    made.start()
    both_at_work(made)
    made.end()
    assert made.statuses == {0: 130, 1: 130} and made.last_words(0)[-1] == "saved"


def test_one_that_is_killed_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    made = crew(tmp_path, SLEEPS.format(handler="end"))
    made.start()
    both_at_work(made)
    os.kill(made._running[0].pid, signal.SIGKILL)
    found: list[int] = []
    until(lambda: bool(found.extend(made.ended()) or found))
    assert found == [0] and made.told(0) == "was killed by SIGKILL" and made.is_at_work
    made.end()
    assert made.statuses[1] == 130


def test_those_that_do_not_listen_are_killed(tmp_path: Path) -> None:
    made = crew(tmp_path, SLEEPS.format(handler="signal.SIG_IGN"))
    made.start()
    both_at_work(made)
    made.end(patience=0.2)
    assert set(made.statuses.values()) == {-signal.SIGKILL} and not made.is_at_work


def test_a_second_ctrl_c_kills_them(tmp_path: Path) -> None:
    made = crew(tmp_path, SLEEPS.format(handler="signal.SIG_IGN"))
    made.start()
    both_at_work(made)

    def again() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.end(look=again)
    assert set(made.statuses.values()) == {-signal.SIGKILL}


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("a file")
    with pytest.raises(CannotWrite, match="workers: cannot be written"):
        crew(tmp_path, "").start()
