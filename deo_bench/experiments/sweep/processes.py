"""Several processes of one command on one sweep: started together, watched, and ended together."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deo_bench.files import cannot_write

LAST_LINES = 5
INTERRUPTED = 130
PATIENCE = 60.0
"""Seconds that workers have to save what they are at, once they are asked to end."""


@dataclass
class Crew:
    """Workers, each a process of `command` with its number appended, whose output goes to a file.

    folder: of these files; environment: beside this process's own. Each is the head of a group of its own, so that a
    Ctrl-C in the terminal reaches them once, through here.
    """

    command: Sequence[str]
    count: int
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start all of them; where one cannot be started, none goes on."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for number in range(self.count):
                with self.output(number).open("wb") as stream:
                    self._running[number] = subprocess.Popen(
                        [*self.command, str(number)],
                        stdin=subprocess.DEVNULL,
                        stdout=stream,
                        stderr=subprocess.STDOUT,
                        env={**os.environ, **self.environment},
                        start_new_session=True,
                    )
        except OSError as error:
            self.end()
            raise cannot_write(self.folder, error) from error

    def output(self, number: int) -> Path:
        """The file of what a worker says."""
        return self.folder / f"worker-{number}.txt"

    @property
    def is_at_work(self) -> bool:
        """Whether any of them runs."""
        return bool(self._running)

    def ended(self) -> list[int]:
        """Those that ended since this was asked last."""
        found = [number for number, process in self._running.items() if process.poll() is not None]
        for number in found:
            self.statuses[number] = self._running.pop(number).returncode
        return found

    def lines(self, number: int) -> list[str]:
        """What a worker said."""
        with contextlib.suppress(OSError):
            text = self.output(number).read_text(encoding="utf-8", errors="replace")
            return [line for line in text.splitlines() if line.strip()]
        return []

    def last_words(self, number: int) -> list[str]:
        """The end of what a worker said."""
        return self.lines(number)[-LAST_LINES:]

    def told(self, number: int) -> str:
        """How a worker ended, in words."""
        status = self.statuses[number]
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def interrupt(self) -> None:
        """Ask all of them to save what they are at and to end, as Ctrl-C does."""
        self._signal(signal.SIGINT)

    def end(self, patience: float = PATIENCE, look: Callable[[], object] = lambda: None) -> None:
        """Ask them to end and wait for it; a second Ctrl-C, or the end of patience, kills them."""
        self.interrupt()
        deadline = time.monotonic() + patience
        try:
            while self._running and time.monotonic() < deadline:
                self.ended()
                look()
                time.sleep(0.05)
        finally:
            self._signal(signal.SIGKILL)
            for number, process in list(self._running.items()):
                self.statuses[number] = process.wait()
            self._running.clear()

    def _signal(self, which: signal.Signals) -> None:
        for process in self._running.values():
            with contextlib.suppress(OSError):
                process.send_signal(which)
