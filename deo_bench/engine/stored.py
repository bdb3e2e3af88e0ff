"""Students of stored runs, built again from what the run left on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deo_bench.engine.build import Statistics, build_student, load_weights
from deo_bench.errors import MissingInput, StoreError
from deo_bench.files import checksum, read_json
from deo_bench.recipe import Identifier, PartTable, StudentTable
from deo_bench.registry import Registry
from deo_bench.store import Run, Store
from deo_bench.store.runs import RUN_NAME
from deo_bench.students import Student
from deo_bench.teachers import Teacher
from deo_bench.weights import locate


def stored_student(
    run: Run, registry: Registry, which: str = "student", step: int | None = None, held: PartTable | None = None
) -> Student:
    """A trained run's student, or the EMA teacher's copy of it, in evaluation mode.

    held: the teacher that the student holds, as its experiment says it, with the places of files that a run's own
    record does not keep; which weights they have to be is told by the record.
    """
    info = run.info
    if info.get("state") != "done":
        raise MissingInput(f"run {run.name} is {run.told_state}", "train it first: `deo-bench run` of its experiment")
    contents: dict[str, Any] = read_json(run.path / "recipe.json")
    try:
        table = without_files(StudentTable.model_validate(contents["recipe"]["student"]), registry)
        statistics = Statistics.from_json(info["statistics"])
        seed = int(info["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{run.path}: torn or foreign: {type(error).__name__} {error}") from None
    weights = (contents.get("weights") or {}).get("student")
    student = build_student(
        table, statistics, registry, seed, lambda told: _held_teacher(held or told, weights, run, registry)
    )
    path = run.weights(which, step)
    if not path.is_file():
        raise MissingInput(
            f"{path}: there are no such weights", "the run has no teacher that follows, or kept no such step"
        )
    _check_bytes(path, info.get("checksums", {}).get(path.name))
    load_weights(student, path)
    return student.eval()


def without_files(table: StudentTable, registry: Registry) -> StudentTable:
    """The student without what it started from: a record keeps digests of files, and a run's weights follow."""
    known = registry.get("student", table.use).options
    files = {name: None for name in table.options if name in known and known[name].is_path}
    return table.model_copy(update={"options": {**table.options, **files}, "init": None})


def _check_bytes(path: Path, known: str | None) -> None:
    """A file of the right size may still hold other bytes (a power failure, a copy that went wrong)."""
    if known is not None and checksum(path) != known:
        raise StoreError(
            f"{path}: torn or foreign: not the bytes that were written; delete it, and the same command makes it again"
        )


def _held_teacher(table: PartTable, weights: str | None, run: Run, registry: Registry) -> Teacher:
    """The teacher that a stored student holds: the stored run that it was, or the weights of that checksum."""
    if weights is not None and RUN_NAME.fullmatch(weights):
        which = str(table.options.get("weights", "student"))
        taught = stored_student(Store(run.path.parent).run(weights), registry, which)
        options = {**table.options, "run": weights, "recipe": None}
        built: Teacher = registry.build("teacher", table.use, taught, options=options)
        return built.freeze()
    found = locate(registry.get("teacher", table.use), table.options)
    if found.missing:
        raise MissingInput(f"run {run.name}: teacher {table.use!r}, which its student holds, is not here", found.remedy)
    if found.checksum != weights:
        raise StoreError(f"run {run.name}: teacher {table.use!r} has other weights than the student was trained with")
    teacher: Teacher = registry.build("teacher", table.use, options=table.options)
    return teacher.freeze()


def run_of_teacher(table: PartTable, identifier: Identifier, store: Store) -> Student:
    """The student that a teacher of the family `run` is."""
    needed = identifier.prerequisite(table)
    assert needed is not None, f"teacher {table.use!r} is no run"
    which = str(table.options.get("weights", "student"))
    return stored_student(store.run(identifier.run_of(needed)), identifier.registry, which)
