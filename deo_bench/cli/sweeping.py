"""Draws a sweep while it is carried out, by whichever processes: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deo_bench.cli.screen import Screen
from deo_bench.experiments.events import Event, Note, RunEnded, ScoreFailed
from deo_bench.experiments.sweep.events import FinalsStarted, TrialEnded
from deo_bench.experiments.sweep.progress import FINISHED, Sight, finished_of, seconds_left
from deo_bench.experiments.sweep.wording import (
    told_best,
    told_counts,
    told_finals,
    told_left,
    told_sight,
    told_trial,
    worker_words,
)
from deo_bench.reports.searched import Searched, Tried

LOOK_SECONDS = 1.0
PLAIN_SECONDS = 10.0
BAR_WIDTH = 20


class SweepDisplay(Screen):
    """A context in which a sweep is shown; `show` takes events of this process, `look` what others do."""

    def __init__(self, console: Console, sight: Callable[[], Sight], plain: bool | None = None) -> None:
        self._sight, self._seen = sight, Sight(())
        self._looked = self._said = 0.0
        self._ended: set[tuple[str, int]] = set()
        # Last, since it asks at once for what is to be drawn.
        live = Live(console=console, get_renderable=self._drawn, refresh_per_second=4, transient=True)
        super().__init__(console, live, plain)

    def __enter__(self) -> Self:
        self._seen = self._sight()
        self._ended = {(study.study, trial.number) for study, trial in _finished(self._seen)}
        self._looked = self._said = time.monotonic()
        return super().__enter__()

    def show(self, event: Event) -> None:
        """Show one event of this process."""
        match event:
            case Note():
                self._say(event.text)
            case RunEnded() if event.reason:
                self._say(f"failed: {event.label}: {event.reason}")
            case ScoreFailed():
                self._say(f"failed: {event.task}, {event.probe} of {event.subject}: {event.reason}")
            case FinalsStarted():
                self._say(f"the best trials and the recipe as it stands, with fresh seeds: {event.runs} runs to train")
        self.look(at_once=isinstance(event, TrialEnded))

    def look(self, at_once: bool = False) -> None:
        """See what all workers have done since the last look: once a second, or at once."""
        now = time.monotonic()
        if not at_once and now - self._looked < LOOK_SECONDS:
            return
        self._seen, self._looked = self._sight(), now
        for study, trial in _finished(self._seen):
            if (study.study, trial.number) not in self._ended:
                self._ended.add((study.study, trial.number))
                self._say(told_trial(study, trial))
        if self.is_plain and now - self._said >= PLAIN_SECONDS:
            self._say("; ".join(told_sight(self._seen)))

    def _drawn(self) -> Group:
        seen = self._seen
        cells = Table.grid(padding=(0, 2))
        for study in seen.studies:
            bar = ProgressBar(total=max(study.wanted, 1), completed=finished_of(study), width=BAR_WIDTH)
            cells.add_row(Text(study.cell or "trials"), bar, Text(told_counts(study)), Text(told_best(study)))
        if seen.finals is not None:
            done, total = seen.finals.runs_done + seen.finals.scores_done, seen.finals.runs + seen.finals.scores
            bar = ProgressBar(total=max(total, 1), completed=done, width=BAR_WIDTH)
            cells.add_row(Text("fresh seeds"), bar, Text(told_finals(seen.finals)), Text(""))
        workers = Table.grid(padding=(0, 2))
        for worker in seen.workers:
            workers.add_row(*(Text(words, style="dim") for words in worker_words(worker, seen.studies)))
        left = told_left(seconds_left(seen.studies, seen.workers, seen.finalist_runs))
        return Group(cells, workers, Text(left, style="dim"))

    def _say(self, text: str) -> None:
        self._said = time.monotonic() if self.is_plain else self._said
        super()._say(text)


def _finished(seen: Sight) -> list[tuple[Searched, Tried]]:
    return [(study, trial) for study in seen.studies for trial in study.trials if trial.state in FINISHED]
