"""A plan of one row: anything that is there, scored on any task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deo_bench.data import Places
from deo_bench.errors import StoreError, UserError, unknown
from deo_bench.experiments.file import Experiment, checked_settings, named_task
from deo_bench.experiments.plan import Plan, PlannedRun, add_scores
from deo_bench.experiments.subjects import Row, baseline_row, check_weights
from deo_bench.files import read_json
from deo_bench.probes.record import resolve
from deo_bench.recipe import Identifier, PartTable, Recipe
from deo_bench.registry import Registry
from deo_bench.store import Run, Store


def plan_of_one(
    name: str,
    tasks: Sequence[object],
    protocols: Sequence[str],
    store: Path,
    data: Path | None = None,
    bands: Sequence[str] = (),
    weights: Sequence[str] = ("student",),
    parts: Sequence[Path] = (),
) -> Plan:
    """The scores of one run (by the start of its name) or of one teacher or baseline (by its name)."""
    registry = Registry(parts)
    experiment = Experiment(
        path=Path("score.toml"),
        settings=checked_settings({"bands": list(bands), "weights": list(weights)}, "deo-bench score"),
        recipe={},
        grid={},
        registry=registry,
        tasks=tuple(named_task(task, registry, "--task") for task in tasks),
        protocols=tuple(resolve(protocol, registry, "--protocol") for protocol in protocols),
    )
    places = Places.of(store, data)
    plan = Plan(experiment, Store(store), places, Identifier(registry, places))
    runs = plan.store.starting(name)
    if len(runs) > 1:
        raise StoreError(f"{len(runs)} runs in {store} start with {name!r}; say more of the name")
    if runs:
        _add_run(plan, runs[0])
    else:
        _add_backbone(plan, name)
    for task in experiment.tasks:
        add_scores(plan, task)
    return plan


def _add_run(plan: Plan, run: Run) -> None:
    if not run.is_done():
        raise StoreError(f"run {run.name} is {run.state} and has no weights to score. {run.problem()}".strip())
    try:
        recipe = Recipe.model_validate(read_json(run.path / "recipe.json")["recipe"])
        seed = int(run.info["seed"])
    except (KeyError, TypeError, ValueError) as error:
        told = f"torn, or of another version ({type(error).__name__})"
        raise StoreError(f"{run.path}: {told}; `deo-bench run` its experiment again") from None
    plan.runs[run.name] = PlannedRun(run.name, recipe, seed, labels=(run.name,))
    plan.rows.append(Row(run.name, "cell", ((seed, run.name),), recipe=recipe))


def _add_backbone(plan: Plan, name: str) -> None:
    registry = plan.experiment.registry
    known = registry.all("teacher")
    if name not in known:
        raise unknown("run or backbone", name, [*known, *(run.name for run in plan.store.runs())])
    if known[name].facts.get("needs") == "student":
        raise UserError(f"{name!r} follows a student, so it has no score of its own; score a run, --weights ema")
    part = PartTable(use=name, options=registry.options("teacher", name, {}, name))
    check_weights(part, plan.experiment, plan.identifier)
    needed = plan.identifier.prerequisite(part)
    if needed is not None and needed.recipe is not None:
        own = plan.identifier.name(needed.recipe, needed.seed)
        plan.runs[own] = PlannedRun(own, needed.recipe, needed.seed, depth=1, labels=(name,))
    plan.rows.append(baseline_row(part, plan.experiment, None, plan.identifier))
