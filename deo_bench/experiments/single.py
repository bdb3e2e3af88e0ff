"""A plan of one row: anything that is there, scored on any task."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from deo_bench.data import Places
from deo_bench.engine.request import EVALUATION_VERSION
from deo_bench.errors import MissingInput, StoreError, UserError, unknown
from deo_bench.experiments.file import Experiment, checked_settings, named_task, refuse_alike
from deo_bench.experiments.plan import Plan, PlannedRun, add_scores
from deo_bench.experiments.subjects import Row, baseline_row, check_weights
from deo_bench.files import checksum, read_json
from deo_bench.probes.record import resolve
from deo_bench.recipe import Identifier, PartTable, Recipe, digest
from deo_bench.registry import Registry
from deo_bench.store import Run, Store

EXPORTED = "student.safetensors"
_WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_LONGEST = 1 << 26
"""Bytes of the longest head of a safetensors file that is read."""


def plan_of_one(
    name: str,
    tasks: Sequence[object],
    protocols: Sequence[str],
    store: Path,
    data: Path | None = None,
    bands: Sequence[str] = (),
    weights: Sequence[str] = ("student",),
    parts: Sequence[Path] = (),
    options: Mapping[str, object] | None = None,
    partitions: Sequence[str] = ("default",),
) -> Plan:
    """The scores of one thing: a run (by the start of its name, or its folder), a teacher or baseline (by its name), or
    a file, which is a student that was exported or another's checkpoint.

    options: of the teacher; of a checkpoint they are teacher `checkpoint`'s.
    """
    registry = Registry(parts)
    named = tuple(named_task(task, registry, "--task") for task in tasks)
    refuse_alike(named, "--task")
    experiment = Experiment(
        path=Path("score.toml"),
        settings=checked_settings(
            {"bands": list(bands), "weights": list(weights), "partitions": list(partitions)}, "deo-bench score"
        ),
        recipe={},
        grid={},
        registry=registry,
        tasks=named,
        protocols=tuple(resolve(protocol, registry, "--protocol") for protocol in protocols),
    )
    places = Places.of(store, data)
    plan = Plan(experiment, Store(store), places, Identifier(registry, places))
    place = Path(name)
    inside = place.is_dir() and place.resolve().parent == store.resolve()
    runs = plan.store.starting(place.resolve().name if inside else name)
    if len(runs) > 1:
        raise StoreError(f"{len(runs)} runs in {store} start with {name!r}; say more of the name")
    if runs and options:
        raise UserError(f"--set {next(iter(options))}: run {runs[0].name} is scored as it was trained")
    if runs:
        _add_run(plan, runs[0])
    elif name not in registry.all("teacher") and (place.exists() or place.suffix in _WEIGHTS):
        _add_file(plan, place, options or {})
    else:
        _add_backbone(plan, name, options or {})
    for task in experiment.tasks:
        add_scores(plan, task, refuse=True)
    return plan


def _add_run(plan: Plan, run: Run) -> None:
    if not run.is_done():
        raise StoreError(f"run {run.name} is {run.told_state} and has no weights to score. {run.problem()}".strip())
    try:
        recipe = Recipe.model_validate(read_json(run.path / "recipe.json")["recipe"])
        seed = int(run.info["seed"])
    except (KeyError, TypeError, ValueError) as error:
        told = f"torn, or of another version ({type(error).__name__})"
        raise StoreError(f"{run.path}: {told}; `deo-bench run` its experiment again") from None
    plan.runs[run.name] = PlannedRun(run.name, recipe, seed, labels=(run.name,))
    plan.rows.append(Row(run.name, "cell", ((seed, run.name),), recipe=recipe))


def _add_file(plan: Plan, place: Path, options: Mapping[str, object]) -> None:
    """A student that left its store, or a checkpoint of another's."""
    file = place / EXPORTED if (place / EXPORTED).is_file() else place
    if not file.exists():
        raise MissingInput(f"{place}: there is no such file", "name a run, a teacher, an export or a checkpoint")
    if is_export(file):
        if options:
            raise UserError(f"--set {next(iter(options))}: {file} says itself what it is")
        label = place.name if place.is_dir() else place.stem
        told = {"export": checksum(file), "versions": [EVALUATION_VERSION]}
        subject = f"backbones/{re.sub(r'[^A-Za-z0-9_.-]', '_', label)}-{digest(told)}"
        plan.rows.append(Row(label, "baseline", ((None, subject),), export=file))
    else:
        _add_backbone(plan, "checkpoint", {"file": str(file.resolve()), **options})


def is_export(file: Path) -> bool:
    """Whether a file is a student as `deo-bench export` writes one, told by its head alone."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            head = json.loads(stream.read(length)) if length < _LONGEST else {}
        return isinstance(head, dict) and "deo_bench" in head.get("__metadata__", {})
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def _add_backbone(plan: Plan, name: str, options: Mapping[str, object]) -> None:
    registry = plan.experiment.registry
    known = registry.all("teacher")
    if name not in known:
        raise unknown("run, backbone or file", name, [*known, *(run.name for run in plan.store.runs())])
    if known[name].facts.get("needs") == "student":
        raise UserError(f"{name!r} follows a student, so it has no score of its own; score a run, --weights ema")
    part = PartTable(use=name, options=registry.options("teacher", name, dict(options), name))
    check_weights(part, plan.experiment, plan.identifier)
    needed = plan.identifier.prerequisite(part)
    if needed is not None and needed.recipe is not None:
        own = plan.identifier.name(needed.recipe, needed.seed)
        plan.runs[own] = PlannedRun(own, needed.recipe, needed.seed, depth=1, labels=(name,))
    plan.rows.append(baseline_row(part, plan.experiment, None, plan.identifier))
