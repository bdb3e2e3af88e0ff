"""Draws what a launch says while it works: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from deo_bench.cli.screen import Screen
from deo_bench.experiments.events import (
    CohortStarted,
    Event,
    Mapped,
    Note,
    RunEnded,
    Scored,
    ScoreFailed,
    ScoringStarted,
    Stepped,
)

if TYPE_CHECKING:
    from deo_bench.experiments.plan import Plan

PLAIN_SECONDS = 10.0


class Display(Screen):
    """A context in which events are shown; `show` takes them one by one."""

    def __init__(self, console: Console, plan: Plan, plain: bool | None = None) -> None:
        self.plan = plan
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}", style="dim", markup=False),
        )
        self._cohorts = Progress(*columns, console=console)
        self._cells = Progress(*columns, console=console)
        live = Live(Group(self._cohorts, self._cells), console=console, refresh_per_second=4, transient=True)
        super().__init__(console, live, plain)
        self._bar: TaskID | None = None
        self._bars: dict[str, TaskID] = {}
        self._labels: dict[str, str] = {}
        self._counted = "score"
        self._last, self._steps, self._scored, self._wanted = 0.0, 0, 0, 0

    def show(self, event: Event) -> None:
        """Show one event."""
        match event:
            case CohortStarted():
                self._started(event)
            case Stepped():
                self._stepped(event)
            case RunEnded():
                self._ended(event)
            case ScoringStarted():
                self._wanted, self._scored, self._last = event.count, 0, 0.0
                self._counted = "score or set of maps" if event.maps else "score"
                what = "scores and maps" if event.maps else "scores"
                self._open_bar(f"{what} of {len({r.subject for r in self.plan.requests})} backbones", event.count)
            case Scored() | Mapped() | ScoreFailed():
                self._score(event)
            case Note():
                self._say(event.text)

    def _started(self, event: CohortStarted) -> None:
        self._steps, self._labels = event.steps, dict(zip(event.runs, event.labels, strict=True))
        what = "prerequisite" if event.is_prerequisite else f"cohort of {len(event.runs)}, seed {event.seed}"
        if event.steps == 0:
            self._say(f"{what}: {'; '.join(event.labels)}: saved untrained")
            return
        if self.is_plain:
            self._say(f"{what}: {'; '.join(event.labels)}: {event.steps} steps of {event.batch} images")
        self._open_bar(what, event.steps, event.start)
        self._bars = {
            run: self._cells.add_task(f"  {label}", total=event.steps, completed=event.start, told="")
            for run, label in self._labels.items()
        }

    def _stepped(self, event: Stepped) -> None:
        told = {run: _terms(terms) for run, terms in event.terms.items()}
        if self.is_plain:
            if time.monotonic() - self._last >= PLAIN_SECONDS:
                self._last = time.monotonic()
                lines = "; ".join(f"{self._labels[run]}: {text}" for run, text in told.items())
                self._say(f"step {event.step + 1} of {self._steps}, {event.images_per_second:.0f} images/s; {lines}")
            return
        if self._bar is not None:
            self._cohorts.update(self._bar, completed=event.step + 1, told=f"{event.images_per_second:.0f} images/s")
        for run, text in told.items():
            mark = "collapsed? " if run in event.collapsed else ""
            self._cells.update(self._bars[run], completed=event.step + 1, told=mark + text)

    def _ended(self, event: RunEnded) -> None:
        if event.run in self._bars:
            self._cells.remove_task(self._bars.pop(event.run))
        if not self._bars:
            self._close_bar()
        if event.reason:
            self._say(f"failed: {event.label}: {event.reason}")
            return
        marks = f" ({'; '.join(event.marks)})" if event.marks else ""
        if event.marks or event.seconds > 1:
            self._say(f"{event.run}  {event.label}: {event.seconds:.0f} s{marks}")

    def _score(self, event: Scored | Mapped | ScoreFailed) -> None:
        self._scored += 1
        if isinstance(event, ScoreFailed):
            self._say(f"failed: {event.task}, {event.probe} of {event.subject}: {event.reason}")
            return
        what = "maps of features" if isinstance(event, Mapped) else _scored(event)
        now = f"{event.label}: {event.task}, {what}"
        if self._bar is not None:
            self._cohorts.update(self._bar, completed=self._scored, told=now)
        if self.is_plain and (time.monotonic() - self._last >= PLAIN_SECONDS or self._scored == self._wanted):
            self._last = time.monotonic()
            self._say(f"{self._counted} {self._scored} of {self._wanted}; {now}")

    def _open_bar(self, what: str, total: int, start: int = 0) -> None:
        self._close_bar()
        if not self.is_plain:
            self._bar = self._cohorts.add_task(what, total=total, completed=start, told="")

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._cohorts.remove_task(self._bar)
            self._bar = None


def _terms(terms: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items())


def _scored(event: Scored) -> str:
    """A probe and its score, as percent or in its own unit."""
    from deo_bench.reports.wording import number

    return f"{event.probe} {number(event.value, is_share=event.is_share)}"
