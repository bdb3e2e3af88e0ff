"""A disk that is full or read-only: one line, status 2, nothing torn; with room again, the same command goes on."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import deo_bench.engine.embed
from deo_bench.cli import main
from deo_bench.engine.artefacts import Recorder
from deo_bench.experiments.launch import Launch
from deo_bench.store import Lease, Subject
from deo_bench.targets.channel_std import ChannelStd
from tests.faults.children import Arm, Child, after, before, of, refuses, to
from tests.faults.conftest import Place

MEGABYTES = 4
AT_ONCE: Arm = lambda befall: befall()  # noqa: E731

MOMENTS: dict[str, Arm] = {
    "before anything is there": AT_ONCE,
    "before a run is claimed": before(Lease, "take"),
    "before its recipe": before(Recorder, "begin"),
    "before the statistics": before(ChannelStd, "fit"),
    "before the second checkpoint": before(Recorder, "checkpoint", nth=2),
    "before the weights": before(Recorder, "finish"),
    "between the weights and run.json": after(Recorder, "keep", nth=2),
    "before embeddings": before(deo_bench.engine.embed, "encoded", nth=2),
    "before a score": before(Subject, "write_score", nth=2),
}


class Disk:
    """A small file system of its own, mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ballast = folder, folder / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        with self.ballast.open("wb", buffering=0) as stream:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while stream.write(b"\0" * size):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def free(self) -> None:
        """Room again."""
        self.ballast.unlink()

    def remount(self, how: str) -> None:
        """`ro` or `rw`; what root may write is no question of modes."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("needs mount")
    words = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no permission to mount: {made.stderr.strip()}")
    yield Disk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def checkpoints_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Launch.__init__, "__defaults__", ("auto", 0.0))


def check_told(said: str, reason: str) -> None:
    """One line of error and no traceback; it says what, where and what to do."""
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and said.splitlines()[-1] == errors[0], said
    assert reason in errors[0] and "Traceback" not in said and "failed: " not in said, said


@pytest.mark.system
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_full_disk_is_one_line_and_the_command_goes_on_once_there_is_room(
    disk: Disk, folder: Path, finished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    checkpoints_each_step(monkeypatch)
    place = Place(folder, disk.folder / "runs")

    def work() -> None:
        MOMENTS[moment](disk.fill)
        main(report_beside(place, tmp_path))

    said = Child(work, tmp_path / "first").ended(2)
    check_told(said, "free some space" if "No space" in said else "GB left")
    place.check_whole(finished)
    assert not [path for path in place.store.rglob(".*.tmp") if path.is_file()]
    disk.free()
    Child(lambda: main(report_beside(place, tmp_path)), tmp_path / "second").ended(0)
    place.check_ends(finished)


@pytest.mark.system
@pytest.mark.parametrize("moment", ["before anything is there", "before the weights", "before a score"])
def test_a_read_only_store_is_one_line_and_the_command_goes_on_once_it_is_writable(
    disk: Disk, folder: Path, finished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    checkpoints_each_step(monkeypatch)
    place = Place(folder, disk.folder / "runs")

    def work() -> None:
        MOMENTS[moment](lambda: disk.remount("ro"))
        main(report_beside(place, tmp_path))

    check_told(Child(work, tmp_path / "first").ended(2), "Read-only file system; make it writable")
    place.check_whole(finished)
    assert not [path for path in place.store.rglob(".*.tmp") if path.is_file()]
    disk.remount("rw")
    Child(lambda: main(report_beside(place, tmp_path)), tmp_path / "second").ended(0)
    place.check_ends(finished)


@pytest.mark.system
def test_a_finished_store_that_is_read_only_still_answers(
    disk: Disk, folder: Path, finished: Place, tmp_path: Path
) -> None:
    place = Place(folder, disk.folder / "runs")
    shutil.copytree(finished.store, place.store)
    disk.remount("ro")
    said = Child(lambda: main(report_beside(place, tmp_path)), tmp_path / "said").ended(0)
    assert "weight=1.0" in said and (tmp_path / "report" / "scores.csv").is_file()


def report_beside(place: Place, folder: Path) -> tuple[str, ...]:
    """The command, with its report on another disk than its store."""
    return (*place.words, "--out", str(folder / "report"))


REFUSED: dict[str, tuple[Arm, int]] = {}


def refusal(what: str, code: int, arm: Any) -> None:
    REFUSED[f"{what}, {errno.errorcode[code]}"] = (arm, code)


refusal("the pack", errno.ENOSPC, before(os, "fsync", of("images.bin")))
refusal("the cache", errno.EROFS, before(Path, "mkdir", of("packs")))
refusal("a claim", errno.EROFS, before(os, "link"))
refusal("the log", errno.ENOSPC, before(os, "fsync", of("train.jsonl")))
refusal("a checkpoint", errno.ENOSPC, before(os, "replace", to("state.pt"), nth=2))
refusal("the weights", errno.EDQUOT, before(os, "replace", to("ema.safetensors")))
refusal("an embedding", errno.ENOSPC, before(os, "replace", to("embeddings")))
refusal("a score", errno.EROFS, before(os, "replace", to(".json"), nth=3))


@pytest.mark.parametrize("what", REFUSED)
def test_a_write_that_is_refused_is_one_line_and_the_command_goes_on_later(
    place: Place, finished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    checkpoints_each_step(monkeypatch)
    arm, code = REFUSED[what]

    def work() -> None:
        arm(refuses(code))
        main(place.words)

    check_told(Child(work, tmp_path / "first").ended(2), os.strerror(code))
    place.check_whole(finished)
    assert not [path for path in place.store.rglob(".*.tmp") if path.is_file()]
    place.carry_out()
    place.check_ends(finished)
