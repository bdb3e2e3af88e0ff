"""What an experiment needs, what of it is done, and in which order the rest is to be made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deo_bench.bands import BAND_SETS, band_set, has_bands
from deo_bench.data import Places
from deo_bench.engine.request import REFERENCES, MapRequest, Request, probe_identity
from deo_bench.errors import MissingInput, StoreError, UserError
from deo_bench.experiments.checks import (
    check_asked,
    check_given,
    check_held,
    check_images,
    check_partitions,
    check_probed,
    check_rows,
    check_shown,
)
from deo_bench.experiments.file import Experiment, NamedTask
from deo_bench.experiments.grid import GridCell, cells_of
from deo_bench.experiments.subjects import (
    Row,
    baseline_row,
    bound_row,
    check_start,
    check_weights,
    gives,
    run_behind,
    shown_sets,
    suits,
    takes_from,
    untrained_rows,
)
from deo_bench.probes.record import ProtocolRecord
from deo_bench.recipe import Identifier, PartTable, Prerequisite, Recipe, canonical
from deo_bench.store import Store


@dataclass(frozen=True)
class PlannedRun:
    """A run that rows or other runs need. depth: 0 for a grid's own, more for what must be made before."""

    name: str
    recipe: Recipe
    seed: int
    depth: int = 0
    labels: tuple[str, ...] = ()

    @property
    def cohort(self) -> str:
        """Runs of one cohort share data, groups, views, batch and seed, and are made at one depth."""
        shared = [self.recipe.data.model_dump(mode="json"), self.recipe.views.model_dump(mode="json", by_alias=True)]
        return canonical([-self.depth, *shared, self.recipe.train.batch, self.recipe.train.clusters, self.seed])


@dataclass
class Plan:
    """Runs by name, rows of the table, and the scores wanted, each with whether it is there.

    missing: data or weights that are not here, with what they keep from being done; classes: names by task; labelled:
    how many images each partition of a task has to fit on, where that is known.
    """

    experiment: Experiment
    store: Store
    places: Places
    identifier: Identifier
    runs: dict[str, PlannedRun] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labelled: dict[str, dict[str, int]] = field(default_factory=dict)

    def runs_to_do(self) -> list[PlannedRun]:
        """Runs that are not done, those that others need first."""
        steps = self.experiment.settings.score_at
        due = [run for run in self.runs.values() if not self.store.run(run.name).is_done(kept(run.recipe, steps))]
        return sorted(due, key=lambda run: -run.depth)

    def cohorts(self, due: list[PlannedRun] | None = None) -> list[list[PlannedRun]]:
        """The runs to do, grouped into cohorts, in order; due: them, where they are known already."""
        groups: dict[str, list[PlannedRun]] = {}
        for run in self.runs_to_do() if due is None else due:
            groups.setdefault(run.cohort, []).append(run)
        return list(groups.values())

    def scores_to_do(self) -> list[Request]:
        """Scores that are not there."""
        subjects = {name: self.store.subject(name) for name in {request.subject for request in self.requests}}
        return [
            request for request in self.requests if not subjects[request.subject].has_score(request.stem, request.role)
        ]

    @property
    def maps(self) -> list[MapRequest]:
        """Maps of features that are wanted, of each row's first seed; references and bounds have none."""
        count = self.experiment.settings.maps
        shown = {row.subjects[0][1] for row in self.rows if row.kind in ("cell", "baseline")}
        found: dict[tuple[str, str], MapRequest] = {}
        for request in self.requests if count else ():
            if request.subject in shown and request.step is None and request.role == "report":
                wanted = MapRequest(request, count)
                found.setdefault((wanted.subject, wanted.stem), wanted)
        return list(found.values())

    def maps_to_do(self) -> list[MapRequest]:
        """Maps of features that are not there."""
        return [wanted for wanted in self.maps if not self.store.subject(wanted.subject).has_maps(wanted.stem)]


def kept(recipe: Recipe, steps: Iterable[int]) -> tuple[int, ...]:
    """The steps whose weights a run keeps for being scored."""
    return tuple(step for step in steps if not recipe.is_untrained and step <= recipe.train.steps)


def make_plan(
    experiment: Experiment,
    store: Path,
    data: Path | None = None,
    skip_missing: bool = False,
    cells: Sequence[GridCell] | None = None,
) -> Plan:
    """The plan of an experiment; missing data or weights end it before anything runs, unless they may be skipped.

    cells: in place of those of the experiment's grid, as the finalists of a sweep are.
    """
    places = Places.of(store, data)
    identifier = Identifier(experiment.registry, places)
    plan = Plan(experiment, Store(store), places, identifier)
    for cell in cells_of(experiment) if cells is None else cells:
        _attempt(plan, f"cell {cell.label}", skip_missing, lambda cell=cell: _add_cell(plan, cell))
    if not plan.rows:
        raise UserError(f"{experiment.path}: nothing is left to do: {'; '.join(plan.missing)}")
    _add_bounds(plan, skip_missing)
    _add_baselines(plan, skip_missing)
    check_rows(plan.rows, experiment.path)
    for task in experiment.tasks:
        _attempt(plan, f"task {task.name}", skip_missing, lambda task=task: add_scores(plan, task))
    if plan.requests:
        asked = {request.subject for request in plan.requests}
        plan.rows = [row for row in plan.rows if row.kind == "cell" or asked & {name for _, name in row.subjects}]
    check_asked(experiment, [row.recipe for row in plan.rows if row.recipe is not None])
    return plan


def _attempt(plan: Plan, what: str, skip_missing: bool, add: object) -> None:
    assert callable(add)
    try:
        add()
    except MissingInput as error:
        if not skip_missing:
            raise MissingInput(f"{what}: {error}", "or go on without it: --skip-missing") from None
        plan.missing.append(f"{what} is left out: {error}")
    except StoreError:
        raise
    except UserError as error:
        source = str(plan.experiment.path)
        if str(error).startswith(f"{source}: "):
            raise
        raise UserError(f"{source}: {what}: {error}") from None


def _add_cell(plan: Plan, cell: GridCell) -> None:
    for table in cell.recipe.every_teacher.values():
        check_weights(table, plan.experiment, plan.identifier)
    check_start(cell.recipe, plan.experiment, plan.identifier)
    name = plan.identifier.digest(cell.recipe)
    check_images(cell.recipe, plan.experiment, plan.identifier, plan.store)
    check_held(cell.recipe, plan.identifier, plan.store)
    subjects = tuple((seed, f"{name}-s{seed}") for seed in cell.seeds)
    for seed, subject in subjects:
        _add_run(plan, subject, cell.recipe, seed, 0, cell.label)
    plan.rows.append(Row(cell.label, "cell", subjects, recipe=cell.recipe, settings=cell.settings))


def _add_run(plan: Plan, name: str, recipe: Recipe, seed: int, depth: int, label: str) -> None:
    known = plan.runs.get(name)
    labels = tuple(dict.fromkeys([*(known.labels if known else ()), label]))
    plan.runs[name] = PlannedRun(name, recipe, seed, max(depth, known.depth if known else 0), labels)
    for table in recipe.every_teacher.values():
        _add_prerequisite(plan, table, depth + 1)


def _add_prerequisite(plan: Plan, table: PartTable, depth: int) -> None:
    """The run that a teacher is, where it is one: planned, or there already."""
    needed = prerequisite_of(table, plan.identifier, plan.store)
    if needed is not None and needed.recipe is not None:
        own = plan.identifier.name(needed.recipe, needed.seed)
        _add_run(plan, own, needed.recipe, needed.seed, depth, table.use)


def prerequisite_of(table: PartTable, identifier: Identifier, store: Store) -> Prerequisite | None:
    """The run that a teacher is, if it is one; a MissingInput for a named one that nobody has trained here."""
    needed = identifier.prerequisite(table)
    if needed is not None and needed.recipe is None and not store.run(str(needed.run)).is_done():
        raise MissingInput(f"teacher {table.use!r}: there is no trained run {needed.run} in {store.root}")
    return needed


def _add_bounds(plan: Plan, skip_missing: bool) -> None:
    """A second row of every cell for each frozen teacher that is put beside it."""
    cells = [row for row in plan.rows if row.kind == "cell"]
    for teacher in plan.experiment.frozen_concat:

        def add(teacher: PartTable = teacher) -> None:
            check_weights(teacher, plan.experiment, plan.identifier)
            _add_prerequisite(plan, teacher, 1)
            plan.rows.extend(bound_row(cell, teacher, plan.identifier) for cell in cells)

        _attempt(plan, f"frozen_concat {teacher.use}", skip_missing, add)


def _add_baselines(plan: Plan, skip_missing: bool) -> None:
    experiment, recipes = plan.experiment, [row.recipe for row in plan.rows if row.recipe is not None]
    for table in experiment.baselines:
        if table.use == "untrained":
            for row in untrained_rows(experiment, recipes, plan.identifier, experiment.settings.seeds):
                assert row.recipe is not None
                for seed, name in row.subjects:
                    _add_run(plan, name, row.recipe, int(seed or 0), 0, row.label)
                plan.rows.append(row)
            continue

        def add(table: PartTable = table) -> None:
            if table.use not in REFERENCES:
                check_weights(table, experiment, plan.identifier)
                needed = plan.identifier.prerequisite(table)
                if needed is not None and needed.recipe is not None:
                    name = plan.identifier.name(needed.recipe, needed.seed)
                    _add_run(plan, name, needed.recipe, needed.seed, 1, table.use)
            plan.rows.append(baseline_row(table, experiment, recipes[0], plan.identifier))

        _attempt(plan, f"baseline {table.use}", skip_missing, add)


def add_scores(plan: Plan, task: NamedTask, refuse: bool = False) -> None:
    """Ask for every score of every row on a task.

    refuse: a protocol that has no score for a row is an error that says why, as where one thing is scored; in a grid
    such a row has an empty cell.
    """
    registry = plan.experiment.registry
    built = registry.build("task", task.part.use, options=task.part.options)
    content, have = built.fingerprint(plan.places), built.bands(plan.places)
    if built.inputs(plan.places):
        pack = built.pack(plan.places)
        check_partitions(pack, plan.experiment, task.name)
        plan.labelled[task.name] = {name: len(rows) for name, rows in pack.partitions.items()}
        plan.labelled[task.name]["default"] = len(pack.splits.get("fit", ()))
    plan.classes[task.name], kind = built.class_names(plan.places), built.label_kind(plan.places)
    check_probed(plan.experiment, task.name, kind)
    known = {(request.subject, request.stem) for request in plan.requests}
    for row in plan.rows:
        check_shown(row, have, plan.identifier, plan.store, task.name)
        fed = _fed(plan, row)
        for protocol in plan.experiment.protocols:
            shown = bands_for(plan, row, fed, have, task.name, protocol.pad)
            found = [each for bands in shown for each in _requests_of(plan, row, task, content, protocol, bands, kind)]
            if refuse and not found:
                check_given(row, protocol, task.name, kind, shown, registry)
            for request in found:
                # Two cells may be one run (a weight of a teacher that is none): its scores are wanted once.
                if (request.subject, request.stem) not in known:
                    known.add((request.subject, request.stem))
                    plan.requests.append(request)


def bands_for(plan: Plan, row: Row, fed: set[str], have: tuple[str, ...], task: str, pad: bool) -> tuple[str, ...]:
    """The band sets that a row is scored on: those asked for, else the largest of the student's that the task has.

    pad: the protocol fills in what lacks, so it is the one of which most is there.
    """
    pad = pad and not _takes_any_bands(plan, row)
    asked = plan.experiment.settings.bands
    for name in asked:
        if not pad and not has_bands(have, band_set(name)):
            raise UserError(f"{plan.experiment.path}: bands: task {task!r} has no {name!r}; it has {', '.join(have)}")
    there = {name: sum(has_bands(have, (band,)) for band in band_set(name)) for name in fed}
    usable = [name for name in fed if there[name] == len(band_set(name)) or (pad and there[name])]
    usable.sort(key=lambda name: (-there[name], len(band_set(name)), name))
    if asked and fed & set(asked):
        return tuple(name for name in asked if name in fed)
    if not usable:
        raise UserError(f"{plan.experiment.path}: task {task!r} has the bands of no set that the student is fed")
    return tuple(usable[:1])


def _takes_any_bands(plan: Plan, row: Row) -> bool:
    """Whether a row has no bands of its own, so that none of them can lack: a trivial baseline, a reference."""
    if row.kind == "reference":
        return True
    needs = plan.experiment.registry.get("teacher", row.part.use).facts.get("needs") if row.part is not None else ""
    return needs == "bands"


def _fed(plan: Plan, row: Row) -> set[str]:
    """The band sets that a row's subject can be fed: a student's, a teacher's own, any student's for the others."""
    if row.recipe is not None and row.kind != "reference":
        return set(row.recipe.student.bands)
    if row.export is not None:
        from deo_bench.engine.export import read_export  # only here: a plan loads no torch

        return set(read_export(row.export, plan.experiment.registry)[0].band_sets)
    if row.kind == "baseline" and row.part is not None:
        registry = plan.experiment.registry
        needed = plan.identifier.prerequisite(row.part)
        if needed is not None and needed.recipe is not None:
            return set(needed.recipe.student.bands)
        if registry.get("teacher", row.part.use).facts.get("needs") != "bands":
            return set(shown_sets(row.part, registry))
    fed = {name for other in plan.rows if other.recipe is not None for name in other.recipe.student.bands}
    return fed or set(BAND_SETS)


def _requests_of(
    plan: Plan, row: Row, task: NamedTask, content: str, protocol: ProtocolRecord, bands: str, label_kind: str
) -> list[Request]:
    registry = plan.experiment.registry
    offered = gives(row, registry, protocol)
    if not takes_from(protocol, bands):
        return []
    if row.kind == "reference":
        assert row.part is not None
        probes = {row.part.use: PartTable(use=row.part.use, options=row.part.options)}
    else:
        probes = {
            name: PartTable(
                use=use.use, options=registry.options("probe", use.use, use.options, f"protocol {protocol.id}")
            )
            for name, use in protocol.probes.items()
        }
    probes = {
        name: part
        for name, part in probes.items()
        if suits(registry.get("probe", part.use), label_kind, offered, protocol.levels)
    }
    found = []
    for _, subject in row.subjects:
        for weights, step in _weights_of(plan, row, subject):
            for name, part in probes.items():
                for partition in plan.experiment.settings.partitions:
                    identity = probe_identity(registry, part.use)
                    given = (subject, task.name, task.part, content, protocol, name, part, identity, bands)
                    own = str(registry.get("probe", part.use).facts.get("metric", ""))
                    found.append(Request(*given, weights, step, partition, label_kind, own))
    return found


def _weights_of(plan: Plan, row: Row, subject: str) -> list[tuple[str, int | None]]:
    """Which weights of a subject are scored: as the experiment says, the EMA teacher's only where there is one."""
    run = run_behind(subject)
    if run not in plan.runs:
        return [("file", None)]
    recipe = plan.runs[run].recipe
    follows = any(
        plan.experiment.registry.get("teacher", table.use).facts.get("needs") == "student"
        for table in recipe.teachers.values()
    )
    chosen = [which for which in plan.experiment.settings.weights if which == "student" or follows]
    steps = [None, *kept(recipe, plan.experiment.settings.score_at)]
    return [(which, step) for which in chosen for step in steps]
