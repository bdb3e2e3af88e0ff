"""The scores of a plan, made backbone by backbone: one encoding pass serves every probe on it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from deo_bench.backbone import Backbone
from deo_bench.data import Pack
from deo_bench.engine.build import Statistics, build_frozen, build_student
from deo_bench.engine.embed import Beside, Evaluated
from deo_bench.engine.evaluate import Evaluator
from deo_bench.engine.export import read_export
from deo_bench.engine.maps import feature_maps
from deo_bench.engine.request import REFERENCES, MapRequest, Request
from deo_bench.engine.stored import run_of_teacher, stored_student
from deo_bench.errors import CannotWrite, StoreError, UserError
from deo_bench.experiments.events import Event, Mapped, Note, Scored, ScoreFailed, Waiting
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.subjects import Row, baseline_row, first_bands, run_behind
from deo_bench.files import checksum, sweep
from deo_bench.probes.metrics import METRICS
from deo_bench.recipe import PartTable
from deo_bench.store import Lease, LeaseLost
from deo_bench.store.embeddings import EXPORT
from deo_bench.store.remains import RESULTS
from deo_bench.students import Student
from deo_bench.teachers import Teacher

Wanted = Request | MapRequest
WAIT_SECONDS = 0.5


@dataclass
class ScoringJob:
    """Makes scores; one that cannot be made is said and the rest goes on."""

    plan: Plan
    device: torch.device

    def events(self, requests: Sequence[Wanted]) -> Iterator[Event]:
        """Every request, subject by subject; what another process is scoring is left to it, and looked at again."""
        evaluator = Evaluator(self.plan.experiment.registry, self.plan.places, self.device)
        left: dict[str, list[Wanted]] = {}
        for request in requests:
            left.setdefault(request.subject, []).append(request)
        leases = {name: Lease(self.plan.store.subject(name).path / "scores" / "lease") for name in left}
        is_waiting = False
        while left:
            claimed = next((name for name in left if leases[name].take()), None)
            if claimed is None:
                if not is_waiting:
                    yield Note("the scores left are being made by another process; waiting for it")
                is_waiting = True
                yield Waiting()
                time.sleep(WAIT_SECONDS)
                continue
            is_waiting = False
            try:
                yield from self._subject(evaluator, left[claimed], leases[claimed])
                del left[claimed]
            except LeaseLost as error:
                yield Note(str(error))
            finally:
                leases[claimed].release()

    def _subject(self, evaluator: Evaluator, wanted: list[Wanted], lease: Lease) -> Iterator[Event]:
        """The requests of one claimed subject; those that another process has made meanwhile are passed over."""
        subject = self.plan.store.subject(wanted[0].subject)
        for folder in RESULTS:
            sweep(subject.path / folder)
        for request in wanted:
            if isinstance(request, MapRequest):
                if not subject.has_maps(request.stem):
                    yield self._maps(evaluator, request, lease)
                continue
            if subject.has_score(request.stem, request.role):
                continue
            path = subject.score_path(request.stem, request.role)
            if path.exists():
                yield Note(f"{path}: torn, foreign or without its predictions; it is made again")
            yield self._one(evaluator, request, lease)

    def _one(self, evaluator: Evaluator, request: Request, lease: Lease) -> Event:
        began = time.perf_counter()
        row = self._row(request.subject)
        try:
            evaluated = None if request.probe_part.use in REFERENCES else self._evaluated(request, row)
            score, arrays, encoded = evaluator.score(request, evaluated, lambda pack: self._fresh(row, request, pack))
            lease.check()
            self.plan.store.subject(request.subject).write_score(score, arrays)
        except (CannotWrite, LeaseLost):
            raise
        except (UserError, ArithmeticError) as error:
            return ScoreFailed(request.subject, request.task, request.probe, str(error))
        told = (score.value, encoded, time.perf_counter() - began, METRICS[score.metric].is_share)
        return Scored(request.subject, row.label, request.task, request.probe, *told)

    def _maps(self, evaluator: Evaluator, request: MapRequest, lease: Lease) -> Event:
        began = time.perf_counter()
        row, told = self._row(request.subject), request.score
        try:
            subject = self._evaluated(told, row)
            made = feature_maps(subject.load, evaluator.pack(told), request, self.device)
            lease.check()
            self.plan.store.subject(request.subject).write_maps(request.stem, made)
        except (CannotWrite, LeaseLost):
            raise
        except (UserError, ArithmeticError) as error:
            return ScoreFailed(request.subject, told.task, "maps of features", str(error))
        return Mapped(request.subject, row.label, told.task, time.perf_counter() - began, bool(made.reason))

    def _row(self, subject: str) -> Row:
        return next(row for row in self.plan.rows if any(name == subject for _, name in row.subjects))

    def _evaluated(self, request: Request, row: Row) -> Evaluated:
        """The backbone of a request: a run's student, or a baseline."""
        registry = self.plan.experiment.registry
        if row.export is not None:
            path = row.export
            return Evaluated(f"{EXPORT} {checksum(path)}", lambda pack: read_export(path, registry)[0])
        if row.part is None:
            run = self.plan.store.run(run_behind(request.subject))
            if not run.is_done():
                raise StoreError(f"run {run.name} is {run.told_state}: {run.info.get('reason', 'it has no weights')}")
            path = run.weights(request.weights, request.step)
            if not path.is_file():
                raise StoreError(f"{path}: there are no such weights")
            # Not the checksum alone: students that differ in what has no weights can have equal ones.
            weights = f"{run.name} {run.weights_checksum(request.weights, request.step)}"
            held = None if row.recipe is None else row.recipe.student.teacher
            given = (run, registry, request.weights, request.step, held)
            return Evaluated(weights, lambda pack: stored_student(*given), beside=self._beside(row))
        part = row.part
        on_bands = registry.get("teacher", part.use).facts.get("needs") == "bands"
        return Evaluated(request.subject, lambda pack: self._baseline(part, request.bands, pack), on_bands)

    def _beside(self, row: Row) -> Beside | None:
        """The frozen teacher whose features stand beside a row's, kept as those of its own row are."""
        if row.beside is None:
            return None
        teacher, identifier = row.beside, self.plan.identifier
        own = baseline_row(teacher, self.plan.experiment, None, identifier).subjects[0][1]
        bands = first_bands(teacher, identifier, self.plan.store)
        return Beside(Evaluated(own, lambda pack: self._baseline(teacher, bands, pack)), bands)

    def _baseline(self, part: PartTable, bands: str, pack: Pack) -> Backbone:
        """A backbone that is no run; one that takes any bands is normalised by the task's own pixels."""
        registry = self.plan.experiment.registry
        if registry.get("teacher", part.use).facts.get("needs") != "bands":
            return self._frozen(part)
        statistics = Statistics.of(pack)
        chosen = statistics.bands_of(bands)
        given = (bands, chosen, statistics.normalisation(chosen))
        backbone: Backbone = registry.build("teacher", part.use, *given, options=part.options)
        return backbone

    def _frozen(self, part: PartTable) -> Teacher:
        """A teacher of weights of its own, or of a stored run's."""
        plan = self.plan
        return build_frozen(
            part, lambda table: run_of_teacher(table, plan.identifier, plan.store), plan.experiment.registry
        )

    def _fresh(self, row: Row, request: Request, pack: Pack) -> Student:
        """An untrained student for the supervised reference: one band set, normalised by the task's own pixels."""
        assert row.recipe is not None
        table = row.recipe.student.model_copy(update={"bands": (request.bands,), "init": None})
        return build_student(table, Statistics.of(pack), self.plan.experiment.registry, 0, self._frozen)
