"""Whether a score is whole is looked at once, and again whenever its files were touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from deo_bench.score import Score
from deo_bench.store import Store, Subject, scores

NAME = "0123456789ab-s0"
SCORE = Score(
    subject=NAME, task="cover", probe="linear", protocol="scenes-v1", metric="accuracy", value=0.5, low=0.4, high=0.6,
    n=4, bands="s2_10", task_content="x", digest="01234567",
)  # fmt: skip


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    made = Store(tmp_path).subject(NAME)
    made.write_score(SCORE, {"truth": np.zeros(4, int), "scores": np.zeros((4, 2))})
    return made


def settle(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock stand a minute after the last change of a score's files."""
    path = subject.score_path(SCORE.stem)
    last = max(each.stat().st_ctime_ns for each in (path, path.with_suffix(".npz")))
    monkeypatch.setattr(scores.time, "time_ns", lambda: last + 60_000_000_000)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of score files that are read from now on."""
    read, names = scores.read_score, []
    monkeypatch.setattr(scores, "read_score", lambda *given: names.append(given[1]) or read(*given))
    return names


def test_a_score_that_nobody_touches_is_read_once(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(subject, monkeypatch)
    names = counted(monkeypatch)
    assert all(subject.has_score(SCORE.stem) for _ in range(3))
    assert names == [f"{SCORE.stem}.json"]


def test_a_score_just_written_is_read_again(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    path = subject.score_path(SCORE.stem)
    monkeypatch.setattr(scores.time, "time_ns", lambda: path.stat().st_ctime_ns + 1_000_000)
    names = counted(monkeypatch)
    assert subject.has_score(SCORE.stem) and subject.has_score(SCORE.stem)
    assert len(names) == 2, "within a tick of the disk's clock a second change would not show"


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("how", ["cut", "overwritten", "gone", "a folder"])
def test_what_happens_to_a_file_is_seen(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, suffix: str, how: str
) -> None:
    settle(subject, monkeypatch)
    assert subject.has_score(SCORE.stem)
    path = subject.score_path(SCORE.stem).with_suffix(suffix)
    content, times = path.read_bytes(), path.stat()
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how != "gone":
        path.write_bytes(content[:-5] if how == "cut" else b"x" * len(content))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not subject.has_score(SCORE.stem)
    if how == "a folder":
        path.rmdir()
    path.write_bytes(content)
    assert subject.has_score(SCORE.stem)


def test_what_a_report_would_not_use_is_not_there(subject: Subject) -> None:
    path = subject.score_path(SCORE.stem)
    record = json.loads(path.read_text())
    for change in ({"value": float("nan")}, {"n": 2**63}, {"subject": "0123456789ab-s1"}, {"high": 0.3}):
        path.write_text(json.dumps(record | change))
        assert not subject.has_score(SCORE.stem), change
    path.write_text(json.dumps(record))
    assert subject.has_score(SCORE.stem)
