"""Pruning: what may go and what never does, and that a kill at any moment leaves nothing that lies."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from deo_bench.errors import StoreError
from deo_bench.files import write_bytes, write_json
from deo_bench.recipe import digest
from deo_bench.store import Lease, Store, removal
from deo_bench.store.prune import Found, Wanted, look

DAY = 86_400.0


class Disk:
    """A store without training: runs as they lie on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root)
        self.cache = root / "cache"

    def run(self, label: str, state: str = "done", teacher: str | None = None, scores: int = 0, **info: Any) -> str:
        contents = {"recipe": label, "weights": {"optical": teacher}}
        name = f"{digest(contents)}-s0"
        folder = self.root / name
        write_json(folder / "recipe.json", contents)
        write_bytes(folder / "train.jsonl", b"{}\n")
        if state == "done":
            write_bytes(folder / "student.safetensors", b"weights")
            info = {"sizes": {"student.safetensors": 7}, "checksums": {"student.safetensors": "x"}, **info}
        else:
            write_bytes(folder / "resume" / "state.pt", b"state")
        if state in ("done", "failed"):
            write_json(folder / "run.json", {"state": state, "seed": 0, **info})
        for number in range(scores):
            write_json(folder / "scores" / f"task.knn.{number:08x}.json", {"value": number})
            write_bytes(folder / "scores" / f"task.knn.{number:08x}.npz", b"said")
        return name

    def look(self, **wanted: Any) -> Found:
        if "keep" in wanted:
            wanted["keep"] = frozenset(wanted["keep"])
        return look(self.store, self.cache, Wanted(**wanted))

    def prune(self, **wanted: Any) -> Found:
        found = self.look(**wanted)
        for item in found.items:
            removal.remove(self.store, item)
        return found

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}

    def age(self, path: str, seconds: float) -> None:
        for each in [self.root / path, *(self.root / path).rglob("*")]:
            os.utime(each, (time.time() - seconds, time.time() - seconds))


@pytest.fixture
def disk(store: Path) -> Disk:
    return Disk(store)


def names(found: Found) -> list[str]:
    return [item.name for item in found.items]


def test_looking_changes_nothing_and_what_nobody_needs_is_all_that_goes_unasked(disk: Disk) -> None:
    done, going = disk.run("a", scores=1), disk.run("b", "started")
    write_bytes(disk.root / done / "resume" / "state.pt", b"12345")
    for place in (f"{done}/.student.safetensors.1.aa.tmp", f"{done}/scores/.x.tmp", "cache/packs/.p.aa.tmp", ".t.tmp"):
        write_bytes(disk.root / place, b"half")
        disk.age(place, 2 * 3600)
    write_bytes(disk.root / done / ".run.json.1.bb.tmp", b"being written")
    before = disk.files()
    found = disk.look()
    assert disk.files() == before
    assert names(found) == [
        *(f"{done}/resume", ".t.tmp", f"{done}/.student.safetensors.1.aa.tmp", f"{done}/scores/.x.tmp"),
        "cache/packs/.p.aa.tmp",
    ]
    assert found.size == 5 + 4 * 4 and found.offers["--unfinished"][0] == 1
    disk.prune()
    gone = {name for name in before - disk.files() if not name.startswith(f"{done}/resume")}
    assert gone == {*names(found)} - {f"{done}/resume"} and not (disk.root / done / "resume").exists()
    assert disk.store.run(done).is_done() and disk.store.run(going).state == "started"


def test_a_pruned_run_keeps_recipe_record_and_scores_and_is_no_longer_done(disk: Disk) -> None:
    kept, gone = disk.run("a"), disk.run("b", scores=2, marks=["collapsed"])
    found = disk.prune(keep=[kept], kept_by="x.toml")
    assert names(found) == [gone] and "not named by x.toml; its scores stay" in found.items[0].why
    left = {path.relative_to(disk.root / gone).as_posix() for path in (disk.root / gone).rglob("*") if path.is_file()}
    scores = {f"scores/task.knn.0000000{n}.{end}" for n in (0, 1) for end in ("json", "npz")}
    assert left == {"recipe.json", "run.json", *scores}
    run = disk.store.run(gone)
    assert run.state == "pruned" and not run.is_done() and run.info["marks"] == ["collapsed"]
    assert "sizes" not in run.info and disk.store.run(kept).is_done()
    assert names(disk.look(keep=[kept])) == [], "there is nothing more to prune of it"
    assert names(disk.prune(keep=[kept], scores=True)) == [gone] and not (disk.root / gone).exists()


def test_a_run_without_scores_goes_whole(disk: Disk) -> None:
    kept, gone = disk.run("a"), disk.run("b")
    disk.prune(keep=[kept])
    assert sorted(path.name for path in disk.root.iterdir()) == [kept]
    assert gone != kept


def test_a_teacher_of_a_run_that_stays_stays_and_so_does_its_own(disk: Disk) -> None:
    first = disk.run("first")
    second = disk.run("second", teacher=first)
    kept, other = disk.run("kept", teacher=second), disk.run("other", teacher=first)
    found = disk.look(keep=[kept])
    assert names(found) == [other]
    assert (second, f"{kept} has it as a teacher") in found.left
    assert (first, f"{second} has it as a teacher") in found.left


def test_a_pruned_run_needs_its_teacher_only_while_it_is_trained_again(disk: Disk) -> None:
    kept, teacher = disk.run("kept"), disk.run("teacher")
    pupil = disk.run("pupil", teacher=teacher, scores=1)
    disk.prune(keep=[kept, teacher])
    assert names(disk.look(keep=[kept])) == [teacher]
    write_bytes(disk.root / pupil / "resume" / "state.pt", b"state")
    assert names(disk.look(keep=[kept, pupil])) == []


def _claim_and_die(path: str) -> None:
    Lease(Path(path)).take()
    os._exit(9)


@pytest.mark.parametrize("place", ["lease", "scores/lease"])
def test_a_run_that_a_process_has_claimed_stays_and_the_claim_of_a_dead_one_does_not_count(
    disk: Disk, place: str
) -> None:
    name = disk.run("a", "started", scores=1)
    lease = Lease(disk.root / name / place)
    assert lease.take()
    found = disk.look(unfinished=True)
    assert names(found) == [] and found.left[0][0] == name and f"process {os.getpid()} of" in found.left[0][1]
    lease.release()
    child = multiprocessing.get_context("fork").Process(target=_claim_and_die, args=(str(disk.root / name / place),))
    child.start()
    child.join()
    assert (disk.root / name / place).exists()
    assert names(disk.prune(unfinished=True)) == [name] and not (disk.root / name / "resume").exists()
    assert not list(disk.root.rglob("lease"))


@pytest.mark.parametrize("place", ["lease", "scores/lease"])
def test_a_run_that_is_claimed_after_the_look_stays(disk: Disk, place: str) -> None:
    name = disk.run("a", "started", scores=1)
    item = disk.look(unfinished=True, scores=True).items[0]
    lease = Lease(disk.root / name / place)
    assert lease.take()
    with pytest.raises(StoreError, match="claimed by another process meanwhile"):
        removal.remove(disk.store, item)
    assert (disk.root / name / "resume" / "state.pt").is_file()
    lease.check()
    lease.release()


def test_a_run_that_was_finished_after_the_look_stays(disk: Disk) -> None:
    name = disk.run("a", "started")
    item = disk.look(unfinished=True).items[0]
    write_json(disk.root / name / "run.json", {"state": "done", "sizes": {}})
    with pytest.raises(StoreError, match="was started and is done by now"):
        removal.remove(disk.store, item)
    assert disk.store.run(name).is_done()


def test_unfinished_ones_are_those_that_failed_stopped_or_are_torn(disk: Disk) -> None:
    done, failed, started = (disk.run(state, state) for state in ("done", "failed", "started"))
    torn = disk.run("torn")
    (disk.root / torn / "student.safetensors").write_bytes(b"w")
    found = disk.look(unfinished=True)
    assert {item.name: item.why for item in found.items} == {
        failed: "failed",
        started: "not finished",
        torn: "torn",
    }
    assert names(disk.look(unfinished=True, keep=[failed, torn])) == [started], "what is kept is kept in any state"
    disk.prune(unfinished=True)
    assert [run.name for run in disk.store.runs()] == [done]


def test_a_pruned_run_that_is_trained_again_keeps_its_checkpoint_unless_unfinished_ones_go(disk: Disk) -> None:
    kept, name = disk.run("a"), disk.run("b", scores=1)
    disk.prune(keep=[kept])
    write_bytes(disk.root / name / "resume" / "state.pt", b"state")
    assert names(disk.look()) == []
    assert disk.look().offers["--unfinished"][0] == 1
    assert names(disk.prune(unfinished=True)) == [name] and not (disk.root / name / "resume").exists()
    assert (disk.root / name / "scores").is_dir()


def test_what_is_foreign_is_named_and_left_alone(disk: Disk, tmp_path: Path) -> None:
    kept, mixed, changed = disk.run("a"), disk.run("b"), disk.run("c")
    write_bytes(disk.root / "notes.txt", b"mine")
    write_bytes(disk.root / mixed / "figure.svg", b"mine")
    write_bytes(disk.root / mixed / "my.safetensors", b"mine")
    write_bytes(disk.root / mixed / "targets.safetensors", b"fitted")
    write_json(disk.root / changed / "recipe.json", {"recipe": "edited"})
    write_bytes(disk.root / ("0" * 12 + "-s0") / "photo.jpg", b"mine")
    (tmp_path / "elsewhere").mkdir()
    (disk.root / ("1" * 12 + "-s0")).symlink_to(tmp_path / "elsewhere")
    write_bytes(disk.root / mixed / "scores" / "table.xlsx", b"mine")
    found = disk.prune(keep=[kept], scores=True)
    assert names(found) == [mixed]
    assert dict(found.left) == {
        "000000000000-s0": "not a run: a folder without a recipe.json",
        "111111111111-s0": "is a link; what it points to is not looked at",
        changed: "not a run: its recipe.json is not the recipe that its name says",
        "notes.txt": "not of deo-bench",
        f"{mixed}/figure.svg": "not of deo-bench",
        f"{mixed}/my.safetensors": "not of deo-bench",
        f"{mixed}/scores/table.xlsx": "not of deo-bench",
    }
    assert (disk.root / mixed / "figure.svg").is_file() and (disk.root / mixed / "scores" / "table.xlsx").is_file()
    assert not (disk.root / mixed / "targets.safetensors").exists()
    assert not (disk.root / mixed / "student.safetensors").exists() and disk.store.run(mixed).state == "pruned"
    assert (disk.root / changed / "student.safetensors").is_file()
    assert names(disk.look(keep=[kept], scores=True)) == []


@pytest.mark.parametrize("after", [0, 1, 2])
def test_killed_on_the_way_no_half_pruned_run_passes_for_a_whole_one(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    kept, name = disk.run("a"), disk.run("b", scores=1)
    discard, calls = removal.discard, []

    def stop(path: Path) -> None:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(path)
        discard(path)

    monkeypatch.setattr(removal, "discard", stop)
    try:
        disk.prune(keep=[kept])
    except KeyboardInterrupt:
        assert after < 2
    monkeypatch.undo()
    run = disk.store.run(name)
    assert run.state == "pruned" and not run.is_done() and (run.path / "scores").is_dir()
    disk.prune()
    assert {path.name for path in run.path.iterdir()} == {"recipe.json", "run.json", "scores"}


def test_killed_while_a_folder_is_deleted_nothing_is_left_under_its_name(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, name = disk.run("a"), disk.run("b")

    def stop(path: Path, *_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", stop)
    with pytest.raises(KeyboardInterrupt):
        disk.prune(keep=[kept])
    monkeypatch.undo()
    assert [run.name for run in disk.store.runs()] == [kept]
    (left,) = disk.root.glob(".*.tmp")
    assert name in left.name
    assert names(disk.look()) == []
    disk.age(left.name, 2 * 3600)
    assert names(disk.prune()) == [left.name]
    assert [path.name for path in disk.root.iterdir()] == [kept]


def test_what_cannot_be_deleted_is_told_and_stays_a_pruned_run(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, name = disk.run("a"), disk.run("b", scores=1)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(removal, "discard", refuse)
    with pytest.raises(StoreError, match=f"{name}: cannot be deleted: Permission denied"):
        disk.prune(keep=[kept])
    assert not disk.store.run(name).is_done() and not (disk.root / name / "lease").exists()


def test_only_what_nobody_touched_for_so_long(disk: Disk) -> None:
    kept, old, new = disk.run("a"), disk.run("b"), disk.run("c")
    disk.age(old, 3 * DAY)
    assert names(disk.look(keep=[kept], older_than=2 * DAY)) == [old]
    assert sorted(names(disk.look(keep=[kept]))) == sorted([old, new])


class Cache:
    """Entries of a cache of known size and age, in days."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def add(self, place: str, size: int, days: float) -> None:
        write_bytes(self.disk.cache / place, b"x" * size)
        self.disk.age(f"cache/{place}", days * DAY)


@pytest.fixture
def cache(disk: Disk) -> Cache:
    made = Cache(disk)
    made.add("embeddings/old.npy", 100, 40)
    made.add("embeddings/new.npy", 100, 1)
    made.add("statistics/mid.safetensors", 100, 20)
    made.add("packs/pack-1/images.bin", 300, 30)
    made.add("packs/pack-1/pack.json", 0, 30)
    made.add("packs/pack-1.lock", 0, 30)
    made.add("checksums.json", 10, 90)
    return made


def test_the_cache_is_offered_and_goes_as_a_whole_where_no_limit_is_said(disk: Disk, cache: Cache) -> None:
    assert names(disk.look()) == [] and disk.look().offers == {"--cache": (4, 600)}
    disk.prune(cache=True)
    assert {path for path in disk.files() if (disk.root / path).is_file()} == {
        "cache/checksums.json",
        "cache/packs/pack-1.lock",
    }


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        ({"older_than": 25 * DAY}, ["embeddings/old.npy", "packs/pack-1"]),
        ({"max_size": 200}, ["embeddings/old.npy", "packs/pack-1"]),
        ({"max_size": 199}, ["embeddings/old.npy", "packs/pack-1", "statistics/mid.safetensors"]),
        ({"max_size": 600}, []),
        ({"older_than": 35 * DAY, "max_size": 300}, ["embeddings/old.npy", "packs/pack-1"]),
        ({"older_than": 35 * DAY, "max_size": 500}, ["embeddings/old.npy"]),
        ({"older_than": 100 * DAY}, []),
    ],
    ids=str,
)
def test_what_was_used_least_recently_goes_first(
    disk: Disk, cache: Cache, wanted: dict[str, Any], gone: list[str]
) -> None:
    assert names(disk.look(cache=True, **wanted)) == [f"cache/{name}" for name in gone]


def test_what_is_foreign_in_a_cache_is_named_and_left_alone(disk: Disk, cache: Cache) -> None:
    cache.add("mine/a.txt", 5, 90)
    cache.add("packs/photos/a.jpg", 5, 90)
    cache.add("embeddings/a.csv", 5, 90)
    found = disk.prune(cache=True)
    assert {name for name, _ in found.left} == {"cache/mine", "cache/packs/photos", "cache/embeddings/a.csv"}
    assert (disk.cache / "packs/photos/a.jpg").is_file() and (disk.cache / "embeddings/a.csv").is_file()


def test_a_torn_record_is_unfinished_and_a_torn_recipe_is_not_ours_to_delete(disk: Disk) -> None:
    name, other = disk.run("a"), disk.run("b")
    (disk.root / name / "run.json").write_text('{"state": "do')
    (disk.root / other / "recipe.json").write_text("{")
    found = disk.look(unfinished=True)
    assert {item.name: item.why for item in found.items} == {name: "torn"}
    assert [left for left, _ in found.left] == [other]
    assert json.loads((disk.root / name / "recipe.json").read_text())["recipe"] == "a"
