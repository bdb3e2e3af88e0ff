"""Files written whole or not at all, and read with suspicion."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from deo_bench.errors import CannotWrite, StoreError

_REMEDIES = {
    errno.ENOSPC: "free some space, and the same command goes on",
    errno.EDQUOT: "free some of the quota, and the same command goes on",
    errno.EROFS: "make it writable, or name another place",
    errno.EACCES: "make it writable, or name another place",
    errno.EPERM: "make it writable, or name another place",
}


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, then put it in place: fsync, rename, fsync of the folder."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.{uuid4().hex[:8]}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # noqa: PTH105 (tests of kills patch this name)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def cannot_write(path: Path, error: OSError) -> CannotWrite:
    """What a user is told of a write that failed: the place, the reason and the remedy."""
    # numpy counts the bytes that it could not write and drops the system's reason, which is a full disk.
    code, reason = (error.errno, error.strerror) if error.errno else (errno.ENOSPC, f"{error}: is the disk full?")
    remedy = _REMEDIES.get(code, "")
    return CannotWrite(f"{path}: cannot be written: {reason}" + (f"; {remedy}" if remedy else ""))


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written; for whoever holds the claim on the folder."""
    for left in folder.glob(".*.tmp"):
        if not left.name.startswith(".lease."):
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """A block for one process at a time, for what is made once and kept at this path; a dead process is out of it."""
    from filelock import FileLock

    lock = FileLock(str(path.with_name(f"{path.name}.lock")))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()


def write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    """A folder of files, whole or not at all; one that stands there is replaced."""
    mark = f"{os.getpid()}.{uuid4().hex[:8]}.tmp"
    temporary, old = (path.parent / f".{path.name}.{word}.{mark}" for word in ("new", "old"))
    try:
        temporary.mkdir(parents=True)
        for name, content in contents.items():
            write_bytes(temporary / name, content)
        if path.exists():
            os.replace(path, old)  # noqa: PTH105
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        if old.exists() and not path.exists():
            os.replace(old, path)  # noqa: PTH105
        raise cannot_write(path, error) from error
    finally:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)
    _sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Bytes, whole or not at all."""
    write_whole(path, lambda temporary: _put(temporary, content))


def write_json(path: Path, value: Any) -> None:
    """JSON with sorted keys, one value a line: for eyes, diffs and byte-for-byte comparison."""
    write_bytes(path, (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """JSON, or a StoreError that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(f"{path}: torn or foreign: {error}") from None


def checksum(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def code_checksum(folder: Path) -> str:
    """One sha256 of all Python files below a folder, their places and contents; of nothing hidden."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in place.parts):
            digest.update(f"{place.as_posix()} {checksum(path)}\n".encode())
    return digest.hexdigest()


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Arrays as `.npz` without pickles; the same arrays give the same bytes."""
    import numpy as np

    def save(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, **{name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})  # type: ignore[arg-type]

    write_whole(path, save)


def _put(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
