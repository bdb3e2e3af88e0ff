"""One score on disk: read with suspicion, and whether it is whole looked at once while nobody touches it."""

from __future__ import annotations

import os
import time
import zipfile

from pydantic import ValidationError

from deo_bench.errors import shown, wanted
from deo_bench.score import Score

_LARGEST = 1 << 16
"""Bytes of the largest score file that is believed to be one; a real one has about five hundred."""
_MOST = 1 << 53
"""No number of a score is as large; from here on a float is no exact count, and pandas has no place for it."""
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Without waiting: a pipe in the place of a file has nobody at its other end."""
_END_OF_ZIP = 22
_SETTLED = 2_000_000_000
"""Nanoseconds after which a file's times tell whether it was changed: some disks' clocks tick once in two seconds."""

_Mark = tuple[int, ...]
_whole: dict[str, _Mark] = {}


def read_score(folder: str, name: str, subject: str, role: str = "report") -> Score:
    """The score in a file of a subject's folder; an OSError, or a ValueError that says what is wrong with it.

    role: the split that the folder's scores are on.
    """
    descriptor = os.open(f"{folder}/{name}", _READ)
    try:
        content = os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)
    try:
        score = Score.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise ValueError(_wrong(error)) from None
    if score.subject != subject:
        raise ValueError(f"it belongs to {shown(score.subject)}")
    if name != f"{score.task}.{score.probe}.{score.digest}.json":
        raise ValueError("its name is not its task, probe and digest")
    if score.role != role:
        raise ValueError(f"it is on *{score.role}*, and what lies here is on *{role}*")
    _check(score)
    return score


def is_whole(folder: str, stem: str, subject: str, role: str = "report") -> bool:
    """Whether a score and its predictions are there, whole and its own; neither is opened again until it is changed."""
    path = f"{folder}/{stem}"
    try:
        mark = _mark(f"{path}.json") + _mark(f"{path}.npz")
        if _whole.get(path) == mark:
            return True
        read_score(folder, f"{stem}.json", subject, role)
        if not _ends_like_a_zip(f"{path}.npz"):
            return False
    except (OSError, ValueError):
        return False
    if time.time_ns() - max(mark[:2] + mark[4:6]) > _SETTLED:
        _whole[path] = mark
    return True


def _mark(path: str) -> _Mark:
    found = os.stat(path)  # noqa: PTH116 (a Path a file takes longer than the look at it)
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _ends_like_a_zip(path: str) -> bool:
    """The directory of a zip file is at its end: one that was cut has none."""
    descriptor = os.open(path, _READ)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        stream.seek(max(os.fstat(descriptor).st_size - _END_OF_ZIP, 0))
        return stream.read(4) == b"PK\x05\x06" or zipfile.is_zipfile(path)


def _wrong(error: ValidationError) -> str:
    """What a file is that is no score: torn, of another version, or with a field of another type."""
    errors = error.errors(include_url=False)
    if errors[0]["type"] == "json_invalid":
        return "it is torn or no JSON"
    if not errors[0]["loc"]:
        return "it is no score: it lacks everything"
    missing, unknown = (
        [str(each["loc"][0]) for each in errors if each["type"] == kind] for kind in ("missing", "extra_forbidden")
    )
    if missing:
        return f"it is no score: it lacks {', '.join(missing)}"
    if unknown:
        return f"it is no score of this version: unknown {', '.join(map(printable, unknown))}"
    return f"its {errors[0]['loc'][0]} {wanted(errors[0])}, got {shown(errors[0]['input'])}"


def _check(score: Score) -> None:
    """Refuse numbers that no score has: not finite, or beyond what a table can hold."""
    low, high = score.low, score.high
    if not -_MOST < score.value < _MOST or not 0 < score.n < _MOST:
        raise ValueError("its value or n is no number of a score")
    if not (low is None or -_MOST < low < _MOST) or not (high is None or -_MOST < high < _MOST):
        raise ValueError("its interval has an end that is no number")
    if low is not None and high is not None and low > high:
        raise ValueError("its interval ends before it begins")
    if not -_MOST < (score.step or 0) < _MOST or not -_MOST < (score.num_groups or 0) < _MOST:
        raise ValueError("its step or groups are no numbers of a score")


def printable(text: str) -> str:
    """A name as a line can hold it: a disk allows line breaks in one, and bytes that are no text."""
    return text if text.isprintable() else ascii(text)[1:-1]
