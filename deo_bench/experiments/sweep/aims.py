"""What trials are judged by: objectives as written, held against tasks and probes, and read from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from deo_bench.data import Places
from deo_bench.engine.request import Request
from deo_bench.errors import StoreError, UserError, unknown
from deo_bench.experiments.file import Experiment, NamedTask
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.sweep.pruners import prunes
from deo_bench.experiments.sweep.settings import Objective, Sweep
from deo_bench.probes import kinds_of
from deo_bench.probes.metrics import METRICS, Metric
from deo_bench.probes.record import ProtocolRecord
from deo_bench.reports.searched import Aim
from deo_bench.store import Store

COSTS = {"parameters": "parameters", "train_pflops": "PFLOPs of the training"}
"""Numbers of `run.json` that can be an objective, as figures call them."""
MEASURABLE = ("single", "multi", "regression")
"""Kinds of labels that nearest neighbours of one vector an image say something of."""


def sweep_of(experiment: Experiment) -> Sweep:
    """The experiment's sweep; a UserError where it has none."""
    if experiment.settings.sweep is None:
        raise UserError(f"{experiment.path}: there is no [sweep] in it; `deo-bench run` carries it out")
    return experiment.settings.sweep


def aims_of(experiment: Experiment, places: Places) -> tuple[Aim, ...]:
    """The objectives, whole, in their order; a UserError where one says what cannot be.

    Nothing is trained and no image looked at for it: probes are told by their facts, tasks by their kind of labels.
    """
    sweep = sweep_of(experiment)
    aims = [
        _aim(experiment, objective, places, _where(experiment, place))
        for place, objective in enumerate(sweep.objectives)
    ]
    for place, aim in enumerate(aims):
        if aim.name in [other.name for other in aims[:place]]:
            where = _where(experiment, place)
            raise UserError(f'{where}: a second one is called {aim.name!r}; say name = "…" of one of them')
    if prunes(sweep):
        _check_prunable(experiment, aims, places)
    return tuple(aims)


def _where(experiment: Experiment, place: int) -> str:
    return f"{experiment.path}: sweep.objectives[{place}]"


def _aim(experiment: Experiment, objective: Objective, places: Places, where: str) -> Aim:
    if objective.cost is not None:
        if objective.probe is not None or objective.tasks:
            raise UserError(f"{where}: cost stands in the place of probe and tasks; say one or the other")
        return Aim(objective.name or _usual_name(objective, (), ""), "min", False)
    tasks = _tasks(experiment, objective, where)
    probe = objective.probe or next(iter(experiment.protocols[0].probes), "")
    protocol = protocol_of(experiment, probe, f"{where}.probe")
    found = {task.name: _metric(experiment, task, protocol, probe, places, where) for task in tasks}
    metrics = {name: METRICS[metric] for name, metric in found.items()}
    _check_mean(found, metrics, where)
    first = next(iter(metrics.values()))
    direction: Any = first.direction
    return Aim(
        objective.name or _usual_name(objective, tuple(found), probe), direction, first.is_share, tuple(found), probe
    )


def _usual_name(objective: Objective, tasks: Sequence[str], probe: str) -> str:
    """What an objective is called that says no name."""
    if objective.cost is not None:
        return COSTS[objective.cost]
    return f"{tasks[0]} {probe}" if len(tasks) == 1 else probe


def told_aims(sweep: Sweep, aims: Sequence[Aim]) -> list[dict[str, Any]]:
    """The objectives as JSON, for a study's identity: each by its usual name, whatever figures are to call it."""
    return [
        asdict(replace(aim, name=_usual_name(objective, aim.tasks, aim.probe)))
        for aim, objective in zip(aims, sweep.objectives, strict=True)
    ]


def _tasks(experiment: Experiment, objective: Objective, where: str) -> list[NamedTask]:
    """The objective's tasks in the experiment's order; all of them where it names none."""
    known = [task.name for task in experiment.tasks]
    if not known:
        raise UserError(f"{where}: the experiment has no tasks to judge trials on; say tasks = […], or a cost")
    for name in objective.tasks:
        if name not in known:
            raise unknown("task", name, known, f"{where}.tasks")
    return [task for task in experiment.tasks if not objective.tasks or task.name in objective.tasks]


def protocol_of(experiment: Experiment, probe: str, where: str) -> ProtocolRecord:
    """The first protocol that has a probe."""
    for protocol in experiment.protocols:
        if probe in protocol.probes:
            return protocol
    raise unknown("probe", probe, [name for each in experiment.protocols for name in each.probes], where)


def _metric(
    experiment: Experiment, task: NamedTask, protocol: ProtocolRecord, probe: str, places: Places, where: str
) -> str:
    """The metric of a probe on a task's labels; a UserError where it is not fitted on such."""
    registry, kind = experiment.registry, _label_kind(experiment, task, places)

    def fits(use: str) -> bool:
        return kind in kinds_of(registry.get("probe", use).facts)

    if not fits(protocol.probes[probe].use):
        able = [name for each in experiment.protocols for name, use in each.probes.items() if fits(use.use)]
        told = f"task {task.name!r} has {kind} labels, and probe {probe!r} is not fitted on such"
        raise UserError(f"{where}: {told}; those that are: {', '.join(dict.fromkeys(able)) or 'none of its protocols'}")
    own = str(registry.get("probe", protocol.probes[probe].use).facts.get("metric", ""))
    return own or protocol.metric(kind)


def _label_kind(experiment: Experiment, task: NamedTask, places: Places) -> str:
    built = experiment.registry.build("task", task.part.use, options=task.part.options)
    return str(built.label_kind(places))


def _check_mean(found: dict[str, str], metrics: dict[str, Metric], where: str) -> None:
    """A mean over tasks is one of like with like."""
    told = ", ".join(f"{task} {metric}" for task, metric in found.items())
    if len({metric.direction for metric in metrics.values()}) > 1:
        raise UserError(f"{where}: more is better of some of its tasks and less of others ({told}); say one each")
    if len(metrics) > 1 and not all(metric.is_share for metric in metrics.values()):
        raise UserError(f"{where}: a mean over tasks would mix units ({told}); say tasks = [one], an objective each")


def _check_prunable(experiment: Experiment, aims: Sequence[Aim], places: Places) -> None:
    """What nearest neighbours say on the way is of the one objective, and better in the same direction."""
    where, first = f"{experiment.path}: sweep.pruner", aims[0]
    if len(aims) > 1:
        raise UserError(f'{where}: trials of {len(aims)} objectives cannot be pruned; say pruner = "none"')
    if not first.tasks:
        raise UserError(f'{where}: nearest neighbours on *select* say nothing of a cost; say pruner = "none"')
    protocol = protocol_of(experiment, first.probe, where)
    for task in (task for task in experiment.tasks if task.name in first.tasks):
        kind = _label_kind(experiment, task, places)
        if kind not in MEASURABLE:
            told = f"task {task.name!r} has {kind} labels, which nearest neighbours cannot be measured on"
            raise UserError(f'{where}: {told}; say pruner = "none", or other tasks')
        if METRICS[protocol.metric(kind)].direction != first.direction:
            told = (
                f"nearest neighbours are judged by {protocol.metric(kind)}, and {first.name!r} is better the other way"
            )
            raise UserError(f'{where}: {told}; say pruner = "none"')


def judged_by(experiment: Experiment) -> tuple[str, str]:
    """The weights and the partition that trials are judged by: the first of each that the experiment asks for."""
    return experiment.settings.weights[0], experiment.settings.partitions[0]


def select_requests(plan: Plan, aims: Sequence[Aim], judged: Mapping[str, str]) -> list[Request]:
    """What the aims are read from, of every cell of a plan: one score on *select* a run, task and probe.

    Of several weights and partitions that are asked for the first of each counts. judged: the band set by task, the
    same for all that is compared; where it says none, the first that a cell is scored on.
    """
    asked = {
        (task, aim.probe, protocol_of(plan.experiment, aim.probe, str(plan.experiment.path)).id)
        for aim in aims
        for task in aim.tasks
    }
    runs = {subject for row in plan.rows if row.kind == "cell" for _, subject in row.subjects}
    found: dict[tuple[str, str, str], Request] = {}
    for request in plan.requests:
        if request.subject in runs and (request.task, request.probe, request.protocol.id) in asked:
            own = replace(request, role="select", bands=judged.get(request.task, request.bands))
            found.setdefault((request.subject, request.task, request.probe), own)
    return list(found.values())


def reached(plan: Plan, aims: Sequence[Aim], run: str) -> tuple[float | None, ...]:
    """What a run has reached of each aim, by its scores on *select* and its record; none where that is not there.

    plan: one that holds the run's requests on *select*.
    """
    own = {
        (request.task, request.probe): request
        for request in plan.requests
        if request.subject == run and request.role == "select"
    }
    values = []
    for aim, objective in zip(aims, sweep_of(plan.experiment).objectives, strict=True):
        if objective.cost is not None:
            values.append(_cost(plan.store, run, objective.cost))
        else:
            values.append(_mean(plan.store, run, [own.get((task, aim.probe)) for task in aim.tasks]))
    return tuple(values)


def _mean(store: Store, run: str, wanted: Sequence[Request | None]) -> float | None:
    subject, values = store.run(run), []
    for request in wanted:
        if request is None or not subject.has_score(request.stem, "select"):
            return None
        values.append(subject.score(request.stem, "select").value)
    return sum(values) / len(values)


def _cost(store: Store, run: str, cost: str) -> float | None:
    try:
        value = store.run(run).info.get("compute", {}).get(cost)
    except (StoreError, AttributeError):
        return None
    return float(value) if isinstance(value, int | float) else None
