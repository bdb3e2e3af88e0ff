"""One cohort carried out: its runs built together, trained together, each recorded by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch

from deo_bench.data import Pack
from deo_bench.engine.artefacts import Recorder
from deo_bench.engine.build import Statistics, build_frozen
from deo_bench.engine.frozen import FrozenTeachers, needs_clean
from deo_bench.engine.stored import run_of_teacher
from deo_bench.engine.train import CohortStep, Source, train
from deo_bench.engine.training import Training
from deo_bench.engine.transforms import fit_transforms
from deo_bench.errors import CannotWrite, StoreError, UserError
from deo_bench.experiments.events import NO_GRADIENT, CohortStarted, Event, Note, Outcome, RunEnded, Stepped
from deo_bench.experiments.plan import Plan, PlannedRun, kept
from deo_bench.store import Lease, LeaseLost

Claim = tuple[PlannedRun, Lease]


@dataclass
class Member:
    """A run of the cohort while it is trained."""

    planned: PlannedRun
    training: Training
    recorder: Recorder
    is_collapsed: bool = False

    @property
    def label(self) -> str:
        """What the run is called where a person reads."""
        return self.planned.labels[0]

    @property
    def marks(self) -> list[str]:
        """What a table says of the run beside its numbers."""
        marks = ["collapsed"] if self.is_collapsed else []
        if not self.planned.recipe.is_untrained:
            marks += [f"the {sees} {NO_GRADIENT}" for sees in sorted(self.training.untouched)]
        return marks


@dataclass
class CohortJob:
    """Trains the runs that this process has claimed.

    lost: the runs among them that another process has taken over meanwhile, with what is to be said of it; stopped:
    those that the caller has stopped early.
    """

    plan: Plan
    device: torch.device
    outcome: Outcome
    checkpoint_seconds: float
    members: dict[str, Member] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)

    def stop(self, name: str) -> None:
        """Stop a run between two events: it keeps its state, is recorded as pruned, and the rest goes on."""
        member = self.members.pop(name)
        self.stopped.add(name)
        member.recorder.prune(member.training)

    def events(self, claimed: list[Claim]) -> Iterator[Event]:
        """From building to the last file; a run that goes wrong is recorded, and the rest goes on."""
        began = time.perf_counter()
        first = claimed[0][0]
        try:
            source = self._source(claimed)
        except UserError as error:
            for run, lease in claimed:
                yield self._failed(run, str(error), Recorder(self.plan.store.run(run.name), lease, {}))
            return
        statistics = Statistics.of(source.pack)
        frozen = FrozenTeachers(self._frozen)
        for run, lease in claimed:
            try:
                yield from self._enter(run, lease, statistics, source, frozen)
            except CannotWrite:
                raise
            except LeaseLost as error:
                yield self._lose(run.name, error)
            except UserError as error:
                recorder = Recorder(self.plan.store.run(run.name), lease, {})
                yield self._failed(run, str(error), recorder)
        if not self.members:
            return
        runs = list(self.members.values())
        yield CohortStarted(
            runs=tuple(self.members),
            labels=tuple(member.label for member in runs),
            seed=first.seed,
            start=min(member.training.step for member in runs),
            steps=max(member.training.recipe.train.steps for member in runs),
            batch=source.batch,
            is_prerequisite=first.depth > 0,
        )
        yield from self._train(source, frozen, statistics)
        seconds = time.perf_counter() - began
        self.outcome.seconds_training += seconds
        self.outcome.seconds_prerequisites += seconds if first.depth else 0.0

    def _enter(
        self, run: PlannedRun, lease: Lease, statistics: Statistics, source: Source, frozen: FrozenTeachers
    ) -> Iterator[Event]:
        """Build a run, or go on from its last checkpoint."""
        registry, stored = self.plan.experiment.registry, self.plan.store.run(run.name)
        steps = kept(run.recipe, self.plan.experiment.settings.score_at)

        def built() -> Training:
            training = Training(run.recipe, run.seed, statistics, frozen, registry, self.device)
            fit_transforms(training, source, self.plan.identifier, self.plan.places.cache)
            return training

        stored.tidy(steps)
        if stored.state != "missing" and (problem := stored.problem()):
            yield Note(f"{problem}; the run is made again")
        recorder = Recorder(stored, lease, self.plan.identifier.contents(run.recipe))
        recorder.begin()
        training = built()
        if training.student.origin:
            yield Note(f"{run.labels[0]}, seed {run.seed}, {training.student.origin}")
        try:
            if told := recorder.resume(training, steps):
                yield Note(f"{run.labels[0]}, seed {run.seed}, {told}")
        except StoreError as error:
            yield Note(str(error))
            training = built()  # the other may have taken half of the checkpoint
        self.members[run.name] = Member(run, training, recorder)

    def _train(self, source: Source, frozen: FrozenTeachers, statistics: Statistics) -> Iterator[Event]:
        began = saved = time.perf_counter()
        try:
            yield from self._end_those_due(statistics, began)
            while trainings := {name: member.training for name, member in self.members.items()}:
                for done in train(trainings, source, frozen):
                    yield from self._record(done)
                    for name, reason in done.failed.items():
                        member = self.members.pop(name)
                        yield self._failed(member.planned, reason, member.recorder)
                    yield self._stepped(done, source.batch)
                    yield from self._end_those_due(statistics, began)
                    if time.perf_counter() - saved > self.checkpoint_seconds:
                        yield from self._save()
                        saved = time.perf_counter()
                    if (self.lost.keys() | self.stopped) & trainings.keys():
                        break  # and on with the others
                else:
                    return
        except (GeneratorExit, KeyboardInterrupt):
            for _ in self._save():
                pass  # nobody listens any more
            raise

    def _unless_lost(self, name: str, write: Callable[[], None]) -> Iterator[Event]:
        """Write something of a member; where its run was taken over, it is a member no longer."""
        try:
            write()
        except LeaseLost as error:
            yield self._lose(name, error)

    def _lose(self, name: str, error: LeaseLost) -> Note:
        self.members.pop(name, None)
        self.lost[name] = str(error)
        return Note(self.lost[name])

    def _record(self, done: CohortStep) -> Iterator[Event]:
        steps = self.plan.experiment.settings.score_at
        for name, report in done.reports.items():
            member = self.members[name]
            if report.spread is not None:
                member.is_collapsed = report.spread.is_collapsed
            if report.is_measured:
                member.recorder.log(report)
            if member.training.step in kept(member.planned.recipe, steps):
                yield from self._unless_lost(name, partial(member.recorder.keep, member.training, member.training.step))

    def _stepped(self, done: CohortStep, batch: int) -> Stepped:
        rate = batch * len(done.reports) / max(done.seconds, 1e-9)
        collapsed = frozenset(name for name, member in self.members.items() if member.is_collapsed)
        return Stepped(done.step, {name: report.terms for name, report in done.reports.items()}, rate, collapsed)

    def _end_those_due(self, statistics: Statistics, began: float) -> Iterator[Event]:
        for name, member in list(self.members.items()):
            if member.training.step < member.training.recipe.train.steps:
                continue
            seconds = time.perf_counter() - began
            finish = partial(member.recorder.finish, member.training, statistics, seconds, member.marks)
            yield from self._unless_lost(name, finish)
            if name in self.lost:
                continue
            del self.members[name]
            self.outcome.trained += 1
            yield RunEnded(name, member.label, seconds, marks=tuple(member.marks))

    def _save(self) -> Iterator[Event]:
        for name, member in list(self.members.items()):
            if member.training.step > 0 and member.training.is_whole:
                yield from self._unless_lost(name, partial(member.recorder.checkpoint, member.training))

    def _failed(self, run: PlannedRun, reason: str, recorder: Recorder) -> RunEnded:
        recorder.fail(reason)
        self.outcome.failed.append(f"{run.labels[0]}, seed {run.seed}: {reason}")
        return RunEnded(run.name, run.labels[0], 0.0, reason=reason)

    def _source(self, claimed: list[Claim]) -> Source:
        """The batches that the cohort shares."""
        first = claimed[0][0]
        clean = any(needs_clean(run.recipe) for run, _ in claimed)
        given = (self._pack(first), first.recipe.views, first.recipe.train.batch, first.seed, self.device)
        return Source(*given, clean, first.recipe.train.clusters)

    def _pack(self, run: PlannedRun) -> Pack:
        table = run.recipe.data
        source = self.plan.experiment.registry.build("data", table.use, options=table.options)
        pack: Pack = source.pack(self.plan.places)
        # What is generated has another fingerprint than its content, and cannot change meanwhile.
        if source.inputs(self.plan.places) and pack.content != self.plan.identifier.data(table):
            raise UserError(f"data {table.use!r} has changed since the grid was planned; start it again")
        return pack

    def _frozen(self, table):  # type: ignore[no-untyped-def]
        registry = self.plan.experiment.registry
        load = lambda other: run_of_teacher(other, self.plan.identifier, self.plan.store)  # noqa: E731
        return build_frozen(table, load, registry).to(self.device)
