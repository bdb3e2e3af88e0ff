"""What workers say of themselves, and who of them is believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from deo_bench.experiments.events import CohortStarted, Scored, ScoringStarted, Stepped, Waiting
from deo_bench.experiments.sweep import workers
from deo_bench.experiments.sweep.events import FinalsStarted, Measured, TrialEnded, TrialStarted
from deo_bench.experiments.sweep.workers import Status, workers_in

STARTED = CohortStarted(("a-s1",), ("trial 3",), 1, 2, 10, 8)


def test_a_worker_says_what_it_does_until_it_is_done(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(workers, "WRITE_SECONDS", 0.0)
    with Status(tmp_path, 4) as status:
        assert [(one.number, one.doing) for one in workers_in(tmp_path)] == [(4, "starting")]
        for event in (TrialStarted("ema", 3), STARTED, Stepped(4, {}, 33.0), Measured(3, 50, 0.7)):
            status.hear(event)
        (now,) = workers_in(tmp_path)
        assert (now.cell, now.trial, now.step, now.steps, now.rate) == ("ema", 3, 5, 10, 33.0)
        assert (now.percent, now.measured, now.share, now.process) == (50, 0.7, 0.5, os.getpid())
        status.hear(TrialEnded("ema", 3, "complete", (0.5,)))
        status.hear(Waiting())
        (now,) = workers_in(tmp_path)
        assert (now.doing, now.trial, now.measured, now.share) == ("waiting", None, None, 0.0)
        for event in (FinalsStarted(2, 4), STARTED):
            status.hear(event)
        assert workers_in(tmp_path)[0].label == "trial 3"
        status.hear(ScoringStarted(4))
        status.hear(Scored("a-s1", "trial 3", "tiny", "knn", 0.5, 0, 1.0))
        assert (workers_in(tmp_path)[0].doing, workers_in(tmp_path)[0].step) == ("scoring", 1)
    assert list(tmp_path.iterdir()) == []


def test_steps_are_written_once_a_second_and_a_new_trial_at_once(tmp_path: Path) -> None:
    with Status(tmp_path) as status:
        status.hear(TrialStarted("", 3))
        status.hear(Stepped(4, {}, 33.0))
        (now,) = workers_in(tmp_path)
        assert now.trial == 3 and now.step == 0
        assert status.now.step == 5


def test_the_dead_the_silent_and_the_torn_are_not_believed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    dead.kill()
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and in the table of processes still
    with Status(tmp_path) as living:
        told = json.loads(living.path.read_text())
        (tmp_path / "gone.json").write_text(json.dumps(told | {"process": gone.pid}))
        (tmp_path / "dead.json").write_text(json.dumps(told | {"process": dead.pid}))
        silent = tmp_path / "silent.json"
        silent.write_text(json.dumps(told | {"host": "elsewhere"}))
        os.utime(silent, (0, 0))
        (tmp_path / "torn.json").write_text('{"host": "he')
        (tmp_path / "foreign.json").write_text("[1, 2]")
        (tmp_path / "other.json").write_text(json.dumps(told | {"doing": "sleeping"}))
        (tmp_path / "beyond.json").write_text(json.dumps(told | {"host": "elsewhere", "process": 3}))
        assert [one.host for one in workers_in(tmp_path)] == sorted([told["host"], "elsewhere"])
        with Status(tmp_path):
            pass
        assert not (tmp_path / "gone.json").exists() and silent.exists()
    dead.wait()


def test_a_disk_that_refuses_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("a file")
    with Status(tmp_path / "workers") as status:
        status.hear(STARTED)
    assert workers_in(tmp_path / "workers") == []
