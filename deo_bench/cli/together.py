"""Several processes of one `deo-bench sweep`: started, drawn together, and asked what became of them."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import typer

from deo_bench.cli.storage import STORAGE
from deo_bench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from deo_bench.experiments.sweep.plan import SweepPlan
    from deo_bench.experiments.sweep.processes import Crew

STARTED_BY = "DEO_BENCH_STARTED_BY"
"""In the environment of a worker: the process that started it, without which it works no longer."""

WRONG_USE = 2
SOME_FAILED = 3
"""How a worker ends that has said what failed and done the rest: Python itself ends with 1 where it breaks off."""

FAILED = "failed: "
ALL_FAILED = "what failed of what this worker did:"
LOOK_SECONDS = 0.2


def work_together(made: SweepPlan, command: list[str], workers: int, console: Console, plain: bool | None) -> list[str]:
    """Have several processes do what the sweep lacks, and draw what they do; what failed.

    command: a worker's, to which its number is appended.
    """
    from deo_bench.cli.stopping import Stopping
    from deo_bench.cli.sweeping import SweepDisplay
    from deo_bench.experiments.sweep.processes import Crew
    from deo_bench.experiments.sweep.watch import Watch
    from deo_bench.experiments.sweep.workers import FOLDER

    # An address may hold a password, which the list of processes would show.
    environment = {STARTED_BY: str(os.getpid()), STORAGE: made.url or ""}
    crew, watch = Crew(command, workers, made.folder / FOLDER, environment), Watch(made)
    with Stopping() as stopping, SweepDisplay(console, watch, plain) as display:
        before = watch.failed()
        crew.start()
        try:
            while crew.is_at_work:
                for number in crew.ended():
                    _say_death(crew, number, console)
                display.look()
                stopping.check()
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            crew.end(look=display.look)
            console.print("stopped; the same command goes on from here", markup=False)
            raise
        finally:
            crew.end()
        display.look(at_once=True)
    _check_any_lived(made, crew, console)
    failed = [line for line in watch.failed() if line not in before]
    failed += [line for number in crew.statuses for line in _told_failures(crew, number)]
    return list(dict.fromkeys([*failed, *_left(made, crew)]))


def command_of(experiment: str, options: dict[str, Any]) -> list[str]:
    """This command as a worker runs it: the worker's number is appended. Where studies are it is told otherwise."""
    words = [sys.executable, "-m", "deo_bench", "sweep", experiment, "--plain"]
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            is_address = name == "--set" and str(each).partition("=")[0].strip() == "sweep.storage"
            words += [] if each is None or is_address else [name, str(each)]
    return [*words, "--worker"]


def _has_died(crew: Crew, number: int) -> bool:
    return crew.statuses[number] not in (0, SOME_FAILED)


def _say_death(crew: Crew, number: int, console: Console) -> None:
    """Say of a worker that did not end as it should how it did, and what it said last."""
    if not _has_died(crew, number):
        return
    others = "; the others go on, and one of them takes up its trial" if crew.is_at_work else ""
    lines = [f"worker {number} {crew.told(number)}{others}", *crew.last_words(number)]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _check_any_lived(made: SweepPlan, crew: Crew, console: Console) -> None:
    """Where all have died there is no table to be shown: of the same mistake, or of what broke them."""
    if not all(_has_died(crew, number) for number in crew.statuses):
        return
    told = f"every worker of {made.experiment.path} has died; {crew.output(0)} holds what one said"
    if set(crew.statuses.values()) == {WRONG_USE}:
        raise UserError(told)
    console.print(told, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def _told_failures(crew: Crew, number: int) -> list[str]:
    """What a worker said at its end that failed: of scores nothing else is kept."""
    told: list[str] = []
    lines = crew.lines(number)
    for line in lines[lines.index(ALL_FAILED) + 1 :] if ALL_FAILED in lines else ():
        if line.startswith(FAILED):
            told.append(line.removeprefix(FAILED))
        elif told:
            told[-1] += f" {line.strip()}"  # a reason of several lines
    return told


def _left(made: SweepPlan, crew: Crew) -> list[str]:
    """What is not done although nobody works on it any more, with the last words of those that died."""
    from deo_bench.experiments.sweep.final import final_plan

    studies = made.studies()
    trials = sum(max(study.wanted - study.finished, 0) for study in studies)
    plan = final_plan(made, studies)
    runs, scores = len(plan.runs_to_do()), len(plan.scores_to_do())
    if not (trials or runs or scores):
        return []
    told = f"{trials} trials" if trials else f"{runs} runs and {scores} scores with fresh seeds"
    lines = [f"{told} are left to do; the same command goes on from here"]
    for number in sorted(crew.statuses):
        if _has_died(crew, number):
            lines.append(" ".join([f"worker {number} {crew.told(number)}:", *crew.last_words(number)[-1:]]))
    return lines
