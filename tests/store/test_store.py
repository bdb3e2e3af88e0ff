"""The store: written whole, read with suspicion, claimed by one."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from deo_bench.errors import StoreError
from deo_bench.files import read_json, write_arrays, write_bytes, write_json
from deo_bench.recipe import digest
from deo_bench.score import Score
from deo_bench.store import Lease, LeaseLost, Store


def make_run(store: Path, contents: object = None) -> str:
    contents = contents or {"recipe": 1}
    name = f"{digest(contents)}-s0"
    write_json(store / name / "recipe.json", contents)
    write_bytes(store / name / "student.safetensors", b"weights")
    sizes = {"student.safetensors": 7}
    write_json(store / name / "run.json", {"state": "done", "sizes": sizes})
    return name


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StoreError, match="No space left"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    arrays = {"b": np.arange(5), "a": np.ones((2, 3), np.float32)}
    write_arrays(tmp_path / "1.npz", arrays)
    time.sleep(1.1)
    write_arrays(tmp_path / "2.npz", dict(reversed(arrays.items())))
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_a_run_is_done_when_it_is_whole(store: Path) -> None:
    name = make_run(store)
    run = Store(store).run(name)
    assert run.is_done() and run.state == "done" and run.problem() == ""
    assert not run.is_done((5,))
    (run.path / "student.safetensors").write_bytes(b"torn")
    assert not run.is_done() and "torn" in run.problem()


def test_a_folder_with_another_recipe_is_foreign(store: Path) -> None:
    name = make_run(store)
    write_json(store / name / "recipe.json", {"recipe": 2})
    assert "is not the recipe" in Store(store).run(name).problem()


def test_a_torn_run_file_is_a_line_and_not_a_traceback(store: Path) -> None:
    name = make_run(store)
    (store / name / "run.json").write_text('{"state": "do')
    run = Store(store).run(name)
    assert run.state == "torn" and not run.is_done()
    with pytest.raises(StoreError, match="run.json"):
        _ = run.info


def test_a_score_has_its_predictions(store: Path) -> None:
    subject = Store(store).subject("backbones/image_stats-0123456789ab")
    score = Score(
        subject=subject.name, task="t", probe="p", protocol="x", metric="accuracy", value=0.5, low=None, high=None,
        n=2, bands="rgb", task_content="c", digest="01234567",
    )  # fmt: skip
    subject.write_score(score, {"truth": np.array([0, 1])})
    assert subject.has_score("t.p.01234567")
    assert Score(**json.loads(subject.score_path(score.stem).read_text())) == score
    subject.score_path(score.stem).with_suffix(".npz").unlink()
    assert not subject.has_score("t.p.01234567")


def test_a_run_is_found_by_the_start_of_its_name(store: Path) -> None:
    name = make_run(store)
    assert Store(store).find(name[:5]).name == name
    with pytest.raises(StoreError, match="no run called zzz"):
        Store(store).find("zzz")


def test_one_of_two_gets_the_claim_and_gives_it_back(tmp_path: Path) -> None:
    first, second = Lease(tmp_path / "lease"), Lease(tmp_path / "lease")
    assert first.take() and not second.take()
    first.check()
    with pytest.raises(LeaseLost):
        second.check()
    first.release()
    assert second.take()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_a_counter_that_stands_still_is_taken_over_and_the_loser_stops(tmp_path: Path) -> None:
    slow = Lease(tmp_path / "lease", beat=60)
    # As seen from another machine: the owner's process cannot be looked up there.
    slow.owner = "elsewhere:1:1:aaaa"
    assert slow.take()
    quick = Lease(tmp_path / "lease", patience=0.2)
    assert not quick.take()
    time.sleep(0.3)
    assert quick.take()
    with pytest.raises(LeaseLost, match="taken over"):
        slow.check()
    quick.release()
    slow.release()


def test_a_heartbeat_keeps_a_claim(tmp_path: Path) -> None:
    alive = Lease(tmp_path / "lease", beat=0.05)
    alive.owner = "elsewhere:1:1:aaaa"
    assert alive.take()
    other = Lease(tmp_path / "lease", patience=0.4)
    for _ in range(8):
        assert not other.take()
        time.sleep(0.1)
    alive.release()


def _take_and_die(path: str) -> None:
    Lease(Path(path)).take()
    os._exit(9)


def test_the_claim_of_a_dead_process_of_this_machine_is_free_at_once(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=_take_and_die, args=(str(tmp_path / "lease"),))
    child.start()
    child.join()
    assert (tmp_path / "lease").exists()
    lease = Lease(tmp_path / "lease", patience=60)
    assert lease.take()
    lease.release()


def test_a_killed_process_that_nobody_has_asked_for_yet_holds_nothing(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        _take_and_die(str(tmp_path / "lease"))
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        lease = Lease(tmp_path / "lease", patience=60)
        assert lease.take()
        lease.release()
    finally:
        os.waitpid(pid, 0)


def test_what_is_left_of_a_process_that_died_claiming_goes_with_the_next_claim(tmp_path: Path) -> None:
    alive, dead = Lease(tmp_path / "lease"), Lease(tmp_path / "lease")
    dead.owner = dead.owner.replace(f":{os.getpid()}:", ":999999999:")
    (tmp_path / ".lease.0a.tmp").write_text(f"{dead.owner} 0")
    (tmp_path / ".lease.0b.tmp").write_text(f"{alive.owner} 0")
    assert alive.take()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lease.0b.tmp", "lease"]
    alive.release()


def test_a_claim_where_files_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first, second = Lease(tmp_path / "lease"), Lease(tmp_path / "lease")
    assert first.take() and not second.take()
    first.check()
    first.release()
    assert list(tmp_path.iterdir()) == []


def test_a_heart_that_cannot_beat_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease, beats = Lease(tmp_path / "lease", beat=0.005), threading.Event()
    assert lease.take()

    def refuse(path: Path, *_: object) -> None:
        beats.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    assert beats.wait(10)
    lease.release()
    assert list(tmp_path.iterdir()) == []


def test_a_torn_claim_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "lease").write_text("")
    lease = Lease(tmp_path / "lease", patience=0.1)
    lease.take()
    time.sleep(0.2)
    assert lease.take()
    lease.release()
