"""A claim on a run: one process trains it, and another takes over only when the first has died."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from pathlib import Path
from uuid import uuid4

from deo_bench.errors import StoreError
from deo_bench.files import cannot_write

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

BEAT = 5.0
PATIENCE = 60.0


class LeaseLost(StoreError):
    """Another process has taken the run over; this one must not write to it again."""


class Lease:
    """A file with its owner and a counter that a heartbeat renews.

    Stale when the counter has not moved for `patience` of the reader's own monotonic seconds, or when its owner was a
    process of this machine that is gone. Taken over by atomic rename; is_taken_over: that is how it was last got, so
    that its owner before did not give it back.
    """

    def __init__(self, path: Path, beat: float = BEAT, patience: float = PATIENCE) -> None:
        self.path = path
        self.beat = beat
        self.patience = patience
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}:{uuid4().hex[:8]}"
        self.is_taken_over = False
        self._counter = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched: tuple[str, float] | None = None

    def take(self) -> bool:
        """Try to claim; false while another process holds it. To be called again while waiting.

        A place that cannot be written to is a CannotWrite.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            current = self._read()
            if current is not None and not self._is_stale(current):
                return False
            if current is None and not self._create():
                return False
            if current is not None and not self._take_over(current):
                return False
            self.is_taken_over = current is not None
            self._sweep()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._stop.clear()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()
        return True

    def check(self) -> None:
        """Raise LeaseLost where another process has taken over; called before each write."""
        current = self._read()
        if current is None or not current.startswith(self.owner + " "):
            name = self.path.parent.parent.name if self.path.parent.name == "scores" else self.path.parent.name
            raise LeaseLost(f"{name} was taken over by another process; this one stops writing to it")

    def release(self) -> None:
        """Give the claim back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(StoreError, OSError):
            self.check()
            self.path.unlink()

    def _read(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8") or "torn"
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            return "torn"

    def _text(self) -> str:
        return f"{self.owner} {self._counter}"

    def _temporary(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{uuid4().hex[:8]}.tmp")

    def _create(self) -> bool:
        temporary = self._temporary()
        try:
            temporary.write_text(self._text(), encoding="utf-8")
            os.link(temporary, self.path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._create_in_place()
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _create_in_place(self) -> bool:
        # Where a file system has no links: whoever reads it half-written waits as for any that cannot be read.
        try:
            with self.path.open("x", encoding="utf-8") as stream:
                stream.write(self._text())
        except FileExistsError:
            return False
        return True

    def _take_over(self, seen: str) -> bool:
        # Renaming the stale file away succeeds for one process only; what was renamed must be what was judged.
        aside = self._temporary()
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return False
        try:
            if aside.read_text(encoding="utf-8", errors="replace") != seen and seen != "torn":
                with contextlib.suppress(OSError):
                    os.link(aside, self.path)
                return False
        except FileNotFoundError:
            pass  # swept by another process, which can only have judged the owner gone as well
        finally:
            aside.unlink(missing_ok=True)
        return self._create()

    def _sweep(self) -> None:
        """Remove what processes of this machine left when they were killed while they claimed."""
        for left in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                if _owner_is_gone(left.read_text(encoding="utf-8")):
                    left.unlink()

    def _is_stale(self, current: str) -> bool:
        if _owner_is_gone(current):
            return True
        now = time.monotonic()
        if self._watched is None or self._watched[0] != current:
            self._watched = (current, now)
        return now - self._watched[1] > self.patience

    def _renew(self) -> None:
        while not self._stop.wait(self.beat):
            temporary = self._temporary()
            try:
                self.check()
                self._counter += 1
                temporary.write_text(self._text(), encoding="utf-8")
                temporary.replace(self.path)
            except LeaseLost:
                return
            except OSError:
                # A full disk may be freed before anybody's patience ends; a beat must not fill it with files.
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)


def claimant(path: Path) -> str:
    """Who holds a claim, without claiming; empty where nobody does, or where it was a process that is gone."""
    text = Lease(path)._read()
    if text is None or _owner_is_gone(text):
        return ""
    host, _, rest = text.partition(":")
    pid = rest.partition(":")[0]
    return f"process {pid} of {host}" if pid.isdigit() else "a process that cannot be told"


def is_gone(pid: int) -> bool:
    """Whether there is no such process of this machine, or in name only; false where that cannot be told."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return not _started(pid)


def _owner_is_gone(text: str) -> bool:
    host, _, rest = text.partition(":")
    pid, _, rest = rest.partition(":")
    started = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process of this machine started, in the kernel's ticks; empty where it does not exist, or only in name.

    A killed process whose parent has not asked for it yet is in the table still, and will never write again.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        if not Path("/proc").is_dir():
            return "unknown"
        return ""
