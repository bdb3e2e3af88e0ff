"""A journal of studies: a file that any number of processes append to, mended where a death cut its last line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend, JournalStorage

from deo_bench.errors import StoreError
from deo_bench.files import cannot_write

_BEGINS = b'{"op_code":'
"""How Optuna begins each line."""

_FOREIGN = (ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError, RecursionError)
"""What Optuna raises of a file that it did not write."""

_BLOCK = 1 << 16


class JournalLock:
    """The lock of a journal's writers, as Optuna asks for one.

    Optuna's own is a file that outlives its holder and is waited for half a minute; the system lets go of this one
    when its holder dies. Whoever gets it mends the last line first: the next would be written behind half of one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(str(path.with_name(f".{path.name}.lock")))

    def acquire(self) -> bool:
        """Wait for the lock; the journal ends with a whole line from here on."""
        self._lock.acquire()
        try:
            mend(self._path)
        except BaseException:
            self._lock.release()
            raise
        return True

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()


def open_journal(path: Path) -> JournalStorage:
    """The studies of a journal, which is made where it is not there.

    Raises CannotWrite where the place cannot be written to, and StoreError where the file is something else or torn.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = JournalLock(path)
        backend = JournalFileBackend(str(path), lock_obj=lock)  # type: ignore[arg-type]
        lock.acquire()
        try:
            _check(path)
        finally:
            lock.release()
        return JournalStorage(backend)
    except StoreError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error
    except _FOREIGN:
        raise StoreError(f"{path}: is no journal of studies that this version of Optuna can read") from None


def mend(path: Path) -> None:
    """Cut the last line of a journal back where a death, or a full disk, left half of one; for who holds its lock."""
    with path.open("rb+") as stream:
        start = _last_line(stream)
        stream.seek(start)
        cut = stream.read()
        if not cut:
            return
        # What a power failure leaves of a line is zeros. A file that somebody else wrote is not touched.
        begun = cut.rstrip(b"\0")
        if not (begun.startswith(_BEGINS) or _BEGINS.startswith(begun)):
            raise StoreError(f"{path}: is no journal of studies: its last line is no part of an entry of one")
        stream.truncate(start)


def _last_line(stream: BinaryIO) -> int:
    """Where what follows the last line break begins; the end of the file where nothing follows."""
    end = stream.seek(0, 2)
    while end > 0:
        start = max(0, end - _BLOCK)
        stream.seek(start)
        found = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _check(path: Path) -> None:
    """Refuse a file with a line that is no entry, before anything is written behind it; for who holds its lock."""
    number, line = 0, b""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.startswith(_BEGINS):
                raise StoreError(f"{path}: is no journal of studies, or is torn: line {number} is no entry of one")
    try:
        json.loads(line or b"0")
    except (ValueError, RecursionError):
        # Optuna forgives a last line that cannot be read, until another follows.
        raise StoreError(f"{path}: is torn: line {number}, the last, cannot be read; cut it off") from None
