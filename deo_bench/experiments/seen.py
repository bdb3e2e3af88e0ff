"""What a row has seen of the tasks' data before: through its teachers, and through the images it was pre-trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deo_bench.data import Data
from deo_bench.data.same import is_same_data_set
from deo_bench.errors import StoreError, UserError
from deo_bench.experiments.file import NOT_PARTS
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.subjects import Row
from deo_bench.files import read_json
from deo_bench.recipe import PartTable, Recipe
from deo_bench.reports.entries import Mark, Seen


@dataclass(frozen=True)
class _Past:
    """What a run is made of, as far as it can have seen data: images, and teachers by their tables; none untrained."""

    data: PartTable | None
    teachers: Sequence[PartTable]


def seen_by_rows(plan: Plan) -> dict[str, dict[str, tuple[Seen, ...]]]:
    """Row's label -> task -> what of its data was seen; only where something was."""
    registry = plan.experiment.registry
    tasks = {
        task.name: tuple(registry.build("task", task.part.use, options=task.part.options).data_sets)
        for task in plan.experiment.tasks
    }
    found: dict[str, dict[str, tuple[Seen, ...]]] = {}
    for row in plan.rows:
        facts = list(_facts(plan, row))
        for task, names in tasks.items():
            seen = [Seen(mark, words) for mark, words, of in facts if any(is_same_data_set(of, name) for name in names)]
            if seen:
                found.setdefault(row.label, {})[task] = tuple(dict.fromkeys(seen))
    return found


_Fact = tuple[Mark, str, str]
"""Mark, words, and the data set that it is about."""


def _facts(plan: Plan, row: Row) -> Iterator[_Fact]:
    if row.kind == "reference":
        return
    past = _past_of(row.recipe) if row.recipe is not None else _Past(None, ())
    teachers = [*past.teachers, *([row.beside] if row.beside is not None else [])]
    if row.recipe is None and row.part is not None and row.part.use not in NOT_PARTS:
        teachers.append(row.part)
    for split, name in _images(plan, past.data):
        yield "‡", f"pre-trained on this task's images without labels ({split})", name
    for table in teachers:
        yield from _of_teacher(plan, table, f"teacher {table.use}")


def _of_teacher(plan: Plan, table: PartTable, who: str) -> Iterator[_Fact]:
    """What a teacher knows: as its card says, and, where it is a run, what that run has seen."""
    declared = plan.experiment.registry.get("teacher", table.use)
    for name in declared.facts.get("trained_on", ()):
        yield "†", f"{who} was trained on {name}", str(name)
    past = _past_of_run(plan, table)
    for split, name in _images(plan, past.data):
        yield "†", f"{who} was pre-trained on this task's images without labels ({split})", name
    for inner in past.teachers:
        yield from _of_teacher(plan, inner, f"{who} learned from {inner.use}, which")


def _past_of(recipe: Recipe) -> _Past:
    return _Past(None if recipe.is_untrained else recipe.data, list(recipe.every_teacher.values()))


def _past_of_run(plan: Plan, table: PartTable) -> _Past:
    """Of a teacher that is a run; nothing of any other, and nothing where the store cannot say."""
    needed = plan.identifier.prerequisite(table)
    if needed is None:
        return _Past(None, ())
    if needed.recipe is not None:
        return _past_of(needed.recipe)
    try:
        told = read_json(plan.store.run(str(needed.run)).path / "recipe.json")["recipe"]
        held = (told["student"] or {}).get("teacher")
        first = (told["student"].get("init") or {}).get("teacher")
        tables = [*told["teachers"].values(), *(each for each in (held, first) if each)]
        return _Past(_table(told["data"]), [_table(each) for each in tables])
    except (StoreError, KeyError, TypeError, AttributeError):
        return _Past(None, ())


def _table(told: Mapping[str, Any]) -> PartTable:
    return PartTable(use=told["use"], options=told.get("options", {}))


def _images(plan: Plan, table: PartTable | None) -> list[tuple[str, str]]:
    """The data sets of pre-training images, each with which of its images; a stored recipe may not say where from."""
    if table is None:
        return []
    try:
        data: Data = plan.experiment.registry.build("data", table.use, options=table.options)
    except UserError:
        return []
    return [(data.images_are, name) for name in data.data_sets]
