"""What each process that works on a sweep does now: a small file a worker, for whoever draws the sweep."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, get_args
from uuid import uuid4

from deo_bench.experiments.events import CohortStarted, Event, Scored, ScoringStarted, Stepped, Waiting
from deo_bench.experiments.sweep.events import FinalsStarted, Measured, TrialEnded, TrialStarted
from deo_bench.store.lease import is_gone

Doing = Literal["starting", "training", "scoring", "waiting"]
FOLDER = "workers"
WRITE_SECONDS = 1.0
SILENT_SECONDS = 60.0
"""A worker that has written nothing for so long, or is a process of this machine that is gone, works no more."""


@dataclass(frozen=True)
class Worker:
    """A worker as it says itself. cell, trial: what it is at, none among the finalists; rate: images a second;
    percent, measured: of the last measurement on the way.
    """

    host: str
    process: int
    number: int | None = None
    doing: Doing = "starting"
    cell: str = ""
    trial: int | None = None
    label: str = ""
    step: int = 0
    steps: int = 0
    rate: float = 0.0
    percent: int | None = None
    measured: float | None = None

    @property
    def name(self) -> str:
        """What displays call it."""
        return f"{self.host}, process {self.process}" if self.number is None else f"worker {self.number}"

    @property
    def share(self) -> float:
        """How much of its training is done."""
        return self.step / self.steps if self.doing == "training" and self.steps else 0.0


class Status:
    """Says in a file what this process does, from the events that it hears, and removes the file when it is done.

    It is for eyes alone: a disk that refuses it stops nothing.
    """

    def __init__(self, folder: Path, number: int | None = None) -> None:
        self.now = Worker(socket.gethostname(), os.getpid(), number)
        self.path = folder / f"{self.now.host}-{self.now.process}-{uuid4().hex[:8]}.json"
        self._written: tuple[float, Worker | None] = (0.0, None)

    def __enter__(self) -> Status:
        self._sweep()
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def hear(self, event: Event) -> None:
        """Note what happened; written at most once a second, and at once where it is something new."""
        before = self.now
        self.now = _after(before, event)
        when, _ = self._written
        is_new = (before.doing, before.cell, before.trial, before.label) != (
            (self.now.doing, self.now.cell, self.now.trial, self.now.label)
        )
        if is_new or time.monotonic() - when >= WRITE_SECONDS:
            self._write()

    def _write(self) -> None:
        self._written = (time.monotonic(), self.now)
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(asdict(self.now)), encoding="utf-8")
            temporary.replace(self.path)

    def _sweep(self) -> None:
        """Remove what killed processes of this machine left."""
        for path, worker in _read(self.path.parent):
            if _is_gone(worker):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def workers_in(folder: Path) -> list[Worker]:
    """Every worker that is at work, in the order of their names."""
    now = time.time()
    found = []
    for path, worker in _read(folder):
        with contextlib.suppress(OSError):
            if not _is_gone(worker) and now - path.stat().st_mtime < SILENT_SECONDS:
                found.append(worker)
    return sorted(found, key=lambda worker: (worker.number is None, worker.number or 0, worker.host, worker.process))


def _read(folder: Path) -> Iterator[tuple[Path, Worker]]:
    for path in sorted(folder.glob("[!.]*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            told = json.loads(path.read_text(encoding="utf-8"))
            worker = Worker(**{field.name: told[field.name] for field in fields(Worker) if field.name in told})
            if worker.doing in get_args(Doing) and isinstance(worker.process, int):
                yield path, worker


def _is_gone(worker: Worker) -> bool:
    return worker.host == socket.gethostname() and is_gone(worker.process)


def _after(now: Worker, event: Event) -> Worker:
    """What a worker does once something has happened."""
    idle = Worker(now.host, now.process, now.number)
    match event:
        case TrialStarted():
            return replace(idle, cell=event.cell, trial=event.number)
        case CohortStarted():
            label = "" if now.trial is not None else "; ".join(event.labels)
            return replace(now, doing="training", label=label, step=event.start, steps=event.steps, rate=0.0)
        case Stepped():
            return replace(now, step=event.step + 1, rate=event.images_per_second)
        case Measured():
            return replace(now, percent=event.percent, measured=event.value)
        case ScoringStarted():
            return replace(now, doing="scoring", step=0, steps=event.count)
        case Scored():
            return replace(now, doing="scoring", step=now.step + 1, label="" if now.trial is not None else event.label)
        case Waiting():
            return replace(idle, doing="waiting")
        case TrialEnded() | FinalsStarted():
            return idle
    return now
