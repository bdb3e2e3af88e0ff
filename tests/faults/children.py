"""Forked children that work on a store, and what befalls them: a death, a full disk, a write that is refused.

A child is forked from the test's own process, in which torch runs on one thread: with more, a fork would hang on the
pool of threads that it has not got. What befalls it is patched in the child alone; the product has no hooks.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

PATIENCE = 120.0
CRASHED = 70

living: set[int] = set()
"""Children that nobody has waited for yet."""


def end_the_living() -> None:
    """Kill what a test that failed has left behind, even where it is stopped."""
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    living.clear()


class Child:
    """A forked process that does some work; what it says and how it ended."""

    def __init__(self, work: Callable[[], object], said: Path) -> None:
        self.said_in = said
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _live(work, said)
        living.add(self.pid)

    def wait(self) -> int:
        """The status as waitpid gives it; a child that hangs is ended and is an error."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                living.discard(pid)
                return status
            time.sleep(0.005)
        raise TimeoutError(f"the child hangs; it said: {self.said}")

    @property
    def said(self) -> str:
        """Everything that it wrote to its standard output and error."""
        return self.said_in.read_text(encoding="utf-8")

    def ended(self, status: int = 0) -> str:
        """What it said, once it has ended by itself with this exit status."""
        found = self.wait()
        assert os.WIFEXITED(found) and os.WEXITSTATUS(found) == status, f"status {found}: {self.said}"
        return self.said


def _live(work: Callable[[], object], said: Path) -> NoReturn:
    status = CRASHED
    try:
        stream = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        # pytest's own objects in these places write to files of the parent.
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        work()
        status = 0
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else CRASHED
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


Befall = Callable[[], object]
"""What happens at a moment: it kills the process, fills the disk, or raises."""

Arm = Callable[[Befall], None]
"""Makes something happen at one moment of the process that it is called in."""


def before(place: Any, name: str, when: Callable[..., bool] | None = None, nth: int = 1) -> Arm:
    """The moment before the nth call of a function with arguments of which `when` is true."""
    return _at(place, name, when, nth, after=False)


def after(place: Any, name: str, when: Callable[..., bool] | None = None, nth: int = 1) -> Arm:
    """The moment after it."""
    return _at(place, name, when, nth, after=True)


def _at(place: Any, name: str, when: Callable[..., bool] | None, nth: int, after: bool) -> Arm:
    def arm(befall: Befall) -> None:
        original, seen = getattr(place, name), [0]

        def patched(*args: Any, **kwargs: Any) -> Any:
            is_it = when is None or when(*args, **kwargs)
            seen[0] += is_it
            if is_it and seen[0] == nth and not after:
                befall()
            result = original(*args, **kwargs)
            if is_it and seen[0] == nth and after:
                befall()
            return result

        setattr(place, name, patched)

    return arm


def halfway(name: str, nth: int = 1) -> Arm:
    """The moment at which half of a file's bytes are in its temporary file. name: of the file, or how it begins."""

    def arm(befall: Befall) -> None:
        from deo_bench import files

        original, seen = files._put, [0]

        def patched(path: Path, content: bytes) -> None:
            seen[0] += path.name.startswith(f".{name}")
            if path.name.startswith(f".{name}") and seen[0] == nth:
                original(path, content[: len(content) // 2])
                befall()
            original(path, content)

        files._put = patched

    return arm


def to(name: str) -> Callable[..., bool]:
    """Of a rename's arguments: whether its target has this name, ends so or lies in a folder of that name."""

    def is_it(source: object, target: object, *_: object) -> bool:
        path = Path(str(target))
        return path.name == name or path.parent.name == name or (name.startswith(".") and path.suffix == name)

    return is_it


def of(name: str) -> Callable[..., bool]:
    """Of a method of Path, or of a descriptor: whether the file is called so, or is the temporary file of one."""

    def is_it(which: object, *_: object, **__: object) -> bool:
        path = Path(f"/proc/self/fd/{which}").readlink() if isinstance(which, int) else Path(str(which))
        return path.name == name or path.name.startswith(f".{name}.") or path.parent.name == name

    return is_it


def dies(trace: Path) -> Befall:
    """Leaves a trace and kills its own process at once."""

    def die() -> None:
        trace.touch()
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(PATIENCE)  # the signal may find another thread first

    return die


def refuses(code: int) -> Befall:
    """Raises what the system says of a disk that is full (ENOSPC) or read-only (EROFS)."""

    def refuse() -> None:
        raise OSError(code, os.strerror(code))

    return refuse
