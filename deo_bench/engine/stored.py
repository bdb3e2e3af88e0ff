"""Students of stored runs, built again from what the run left on disk."""

from __future__ import annotations

from typing import Any

from deo_bench.engine.build import Statistics, build_student, load_weights
from deo_bench.errors import MissingInput, StoreError
from deo_bench.files import read_json
from deo_bench.recipe import Identifier, PartTable, StudentTable
from deo_bench.registry import Registry
from deo_bench.store import Run, Store
from deo_bench.students import Student


def stored_student(run: Run, registry: Registry, which: str = "student", step: int | None = None) -> Student:
    """A trained run's student, or the EMA teacher's copy of it, in evaluation mode."""
    info = run.info
    if info.get("state") != "done":
        raise MissingInput(f"run {run.name} is {run.state}", "train it first: `deo-bench run` of its experiment")
    contents: dict[str, Any] = read_json(run.path / "recipe.json")
    try:
        table = StudentTable.model_validate(contents["recipe"]["student"])
        statistics = Statistics.from_json(info["statistics"])
        seed = int(info["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{run.path}: torn or foreign: {type(error).__name__} {error}") from None
    student = build_student(table, statistics, registry, seed)
    path = run.weights(which, step)
    if not path.is_file():
        raise MissingInput(
            f"{path}: there are no such weights", "the run has no teacher that follows, or kept no such step"
        )
    load_weights(student, path)
    return student.eval()


def run_of_teacher(table: PartTable, identifier: Identifier, store: Store) -> Student:
    """The student that a teacher of the family `run` is."""
    needed = identifier.prerequisite(table)
    assert needed is not None, f"teacher {table.use!r} is no run"
    which = str(table.options.get("weights", "student"))
    return stored_student(store.run(identifier.run_of(needed)), identifier.registry, which)
