"""One trial carried out: trained as any run, looked at on the way, judged on *select* alone, and told to its study."""

from __future__ import annotations

import contextlib
import errno
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import torch

from deo_bench.engine.evaluate import Evaluator
from deo_bench.engine.training import Training
from deo_bench.errors import CannotWrite, MissingInput, StoreError, UserError
from deo_bench.experiments.events import Event, Note, RunEnded, Scored, Stepped, Waiting
from deo_bench.experiments.file import Experiment
from deo_bench.experiments.grid import GridCell
from deo_bench.experiments.launch import CHECKPOINT_SECONDS, Launch
from deo_bench.experiments.plan import Plan, make_plan
from deo_bench.experiments.sweep.aims import judged_by, reached, select_requests, sweep_of
from deo_bench.experiments.sweep.events import Measured
from deo_bench.experiments.sweep.inputs import without_hint
from deo_bench.experiments.sweep.measure import Neighbours, looks
from deo_bench.experiments.sweep.pruners import prunes
from deo_bench.experiments.sweep.storage import NoAnswer
from deo_bench.files import cannot_write, write_bytes
from deo_bench.reports.searched import Aim
from deo_bench.store import LeaseLost

MOST_DEATHS = 3
"""Workers that may die over a trial before it is given up as one that kills them."""

LOOKS_AGAIN = (1.0, 2.0, 4.0, 8.0)
"""Seconds between looks at a store that is torn where a trial is planned: what is being written is whole by then."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Refusals of a disk, whoever meets them."""


class ClaimedTrial(Protocol):
    """What a trial's study is told, as `study.Claimed` has it; each write is a LeaseLost where the claim is lost."""

    @property
    def number(self) -> int:
        """In its study."""

    @property
    def deaths(self) -> int:
        """Workers that died over it."""

    @property
    def measured(self) -> Mapping[int, float]:
        """Percent of the training -> value, of what was reported so far, by whichever worker."""

    def note(self, run: str) -> None:
        """Which run it is."""

    def advanced(self) -> None:
        """It has got further than those who died over it."""

    def spent(self, seconds: float, cost_nothing: bool) -> None:
        """How long this worker took, and whether its run was there already; before it ends."""

    def report(self, percent: int, value: float) -> None:
        """What was measured."""

    def should_prune(self) -> bool:
        """Whether it is given up, by what was reported."""

    def complete(self, values: Sequence[float]) -> None:
        """It ended with a value an objective."""

    def prune(self) -> None:
        """It was given up."""

    def fail(self, reason: str) -> None:
        """It cannot be carried out."""

    def release(self) -> None:
        """Leave it to whoever comes next."""


@dataclass
class TrialJob:
    """Carries out one claimed trial.

    cell: makes its cell: a recipe (space and budget laid over) under the trial's seed alone; what is wrong with it
    fails the trial, and so does whatever is raised on the way, but for a disk or a storage that refuses to be written
    to. judged: the band set that it is judged on, by task; check: raises MissingInput where what lacks here lacks for
    more than this trial, which then is left as it is; trace: the file of what Python says of a fault that is no
    UserError. Once `events` has ended: state, `running` where the trial was left to others; values, one an aim; reason
    of a failure; run; cost_nothing: the run was there already.
    """

    experiment: Experiment
    cell: Callable[[], GridCell]
    aims: Sequence[Aim]
    claimed: ClaimedTrial
    store: Path
    data: Path | None = None
    device: str = "auto"
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    judged: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[], object] = lambda: None
    trace: Path | None = None
    state: Literal["running", "complete", "pruned", "failed"] = "running"
    values: tuple[float, ...] = ()
    reason: str = ""
    run: str = ""
    cost_nothing: bool = False

    def events(self) -> Generator[Event, None, None]:
        """From the plan to what the study is told. Not asking for the next one leaves the trial to the next worker,
        with its state saved; so does a claim that is lost, which is said.
        """
        try:
            yield from self._faults_told()
        except LeaseLost as error:
            self.reason = str(error)
            yield Note(self.reason)
        finally:
            if self.state == "running":
                self.claimed.release()

    def _faults_told(self) -> Iterator[Event]:
        """Carry it out; what is raised on the way fails it, so that the trials after it are not lost."""
        try:
            yield from self._carried_out()
        except (CannotWrite, NoAnswer, LeaseLost):
            raise  # of this trial nothing could be told, nor of the next
        except MissingInput as error:
            self.check()
            self._fail(str(without_hint(error)))
        except UserError as error:
            self._fail(str(error))
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise cannot_write(self.store, error) from error
            told = self._said(error)
            self._fail(told)
            _check_device(self.device, told)

    def _carried_out(self) -> Iterator[Event]:
        if self.claimed.deaths >= MOST_DEATHS:
            self._fail(f"{self.claimed.deaths} workers died or fell silent over it; it is not taken up again")
            return
        began = time.perf_counter()
        plan = yield from self._planned()
        (self.run,) = (name for row in plan.rows for _, name in row.subjects)
        self.claimed.note(self.run)
        self.cost_nothing = plan.store.run(self.run).is_done()
        found = reached(plan, self.aims, self.run)
        problems: list[str] = []
        if None in found:
            is_given_up = yield from self._made(plan, problems)
            if is_given_up:
                self.claimed.spent(time.perf_counter() - began, False)
                self.claimed.prune()
                self.state = "pruned"
                return
            found = reached(plan, self.aims, self.run)
        else:
            self.cost_nothing = True  # also where its weights were let go: its scores and its record say all
        self.claimed.spent(time.perf_counter() - began, self.cost_nothing)
        values = tuple(value for value in found if value is not None)
        if len(values) < len(found):
            lacking = ", ".join(aim.name for aim, value in zip(self.aims, found, strict=True) if value is None)
            self._fail("; ".join(problems) or f"run {self.run} has no {lacking}")
            return
        self.claimed.complete(values)
        self.state, self.values = "complete", values

    def _planned(self) -> Generator[Event, None, Plan]:
        """The trial's plan; where the store is torn (another's record that is being written) it is looked at again."""
        given = (self.experiment, self.cell(), self.aims, self.store, self.data, self.judged)
        for seconds in LOOKS_AGAIN:
            try:
                return trial_plan(*given)
            except (CannotWrite, LeaseLost, NoAnswer):
                raise
            except StoreError:
                yield Waiting()
                time.sleep(seconds)
        return trial_plan(*given)

    def _said(self, error: Exception) -> str:
        """A fault of a part, or of ours, in a line; the whole of it goes to a file."""
        first = next(iter(str(error).strip().splitlines()), "")
        told = f"{type(error).__name__}: {first}" if first else type(error).__name__
        if self.trace is None:
            return told
        with contextlib.suppress(CannotWrite):
            write_bytes(self.trace, "".join(traceback.format_exception(error)).encode(errors="replace"))
            return f"{told} (more in {self.trace})"
        return told

    def _fail(self, reason: str) -> None:
        self.claimed.fail(reason)
        self.state, self.reason = "failed", reason

    def _made(self, plan: Plan, problems: list[str]) -> Generator[Event, None, bool]:
        """Train and score what is lacking; whether the trial was given up. problems: what failed, in words."""
        launch = Launch(plan, self.device, self.checkpoint_seconds)
        pruning = self._pruning(plan, launch) if prunes(sweep_of(self.experiment)) else None
        events, is_stepped = launch.events(), False
        found = _checkpoints(plan)
        try:
            for event in events:
                is_stepped |= isinstance(event, Stepped)
                if self.claimed.deaths and (_is_made(event) or (is_stepped and _checkpoints(plan) - found)):
                    self.claimed.advanced()
                yield event
                training = launch.live.get(self.run)
                if pruning is None or training is None:
                    continue
                yield from pruning.look(training)
                if pruning.is_given_up:
                    # Where another process has taken the run over, the trial is given up all the same.
                    with contextlib.suppress(LeaseLost):
                        launch.stop(self.run)
                    return True
        finally:
            events.close()
            problems += launch.outcome.failed
        # Another process may have made all of it while this one waited.
        self.cost_nothing |= not (is_stepped or problems or launch.outcome.trained or launch.outcome.scored)
        return False

    def _pruning(self, plan: Plan, launch: Launch) -> Pruning:
        sweep = sweep_of(self.experiment)
        evaluator = Evaluator(self.experiment.registry, plan.places, launch.device)
        requests = [request for request in plan.requests if request.task in self.aims[0].tasks]
        neighbours = Neighbours(evaluator, requests, sweep.measure, sweep.seed)
        steps = plan.runs[self.run].recipe.train.steps
        return Pruning(self.claimed, neighbours, looks(sweep.measure, steps))


def _is_made(event: Event) -> bool:
    """Whether something is there now that no other worker has to make: a run, of a teacher too, or a score."""
    return isinstance(event, Scored) or (isinstance(event, RunEnded) and not event.reason)


def _checkpoints(plan: Plan) -> set[tuple[str, int]]:
    """The runs of a plan that can be gone on with, of teachers too, and when that was written, in nanoseconds."""
    found = set()
    for name in plan.runs:
        with contextlib.suppress(OSError):
            found.add((name, (plan.store.run(name).resume_path / "state.pt").stat().st_mtime_ns))
    return found


@dataclass
class Pruning:
    """Measures a trial's student where that is due, and asks whether it is given up.

    due: step -> percents of the training that a look after it tells. What was reported by a worker before is not
    measured again, and the pruner is asked where it would have been next: at the last of it.
    """

    claimed: ClaimedTrial
    neighbours: Neighbours
    due: Mapping[int, Sequence[int]]
    is_given_up: bool = False
    _step: int = -1

    def look(self, training: Training) -> Iterator[Event]:
        """Between two steps: each step is looked at once, however many events come after it."""
        percents = self.due.get(training.step, ())
        if training.step == self._step or not percents:
            return
        self._step = training.step
        lacking = [percent for percent in percents if percent not in self.claimed.measured]
        value = self.neighbours(training) if lacking else math.nan
        for percent in lacking if math.isfinite(value) else ():
            self.claimed.report(percent, value)
            yield Measured(self.claimed.number, percent, value)
        last = max(self.claimed.measured, default=0)
        self.is_given_up = last in percents and self.claimed.should_prune()


def _check_device(device: str, told: str) -> None:
    """A fault after which a process can use its GPU no longer would fail every trial after it, and ends it instead."""
    if not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.synchronize(device if device.startswith("cuda") else None)
    except Exception:
        raise UserError(f"{told}; this process can use its device no longer; the same command goes on") from None


def trial_plan(
    experiment: Experiment,
    cell: GridCell,
    aims: Sequence[Aim],
    store: Path,
    data: Path | None = None,
    judged: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of one trial: its run, what must be made before, and the scores on *select* that the aims are read from.

    Nothing else that the experiment asks for is made: baselines, reports, maps and kept steps are the finalists'.
    """
    settings = experiment.settings
    probes = {aim.probe for aim in aims if aim.tasks}
    weights, partition = judged_by(experiment)
    changes = {
        "bands": tuple(name for name in settings.bands if name in cell.recipe.student.bands),
        "weights": (weights,),
        "partitions": (partition,),
        "score_at": (),
        "maps": 0,
    }
    alone = replace(
        experiment,
        settings=settings.model_copy(update=changes),
        tasks=tuple(task for task in experiment.tasks if any(task.name in aim.tasks for aim in aims)),
        protocols=tuple(each for each in experiment.protocols if probes & each.probes.keys()),
        baselines=(),
        frozen_concat=(),
    )
    plan = make_plan(alone, store, data, cells=[cell])
    plan.requests = select_requests(plan, aims, judged or {})
    for aim in aims:
        lacking = [name for name in aim.tasks if (name, aim.probe) not in {(r.task, r.probe) for r in plan.requests}]
        if lacking:
            told = f"probe {aim.probe!r} cannot be fitted on what this student gives"
            raise UserError(f"{experiment.path}: sweep.objectives: {told} on {', '.join(lacking)}")
    return plan
