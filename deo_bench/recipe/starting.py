"""What a student starts from, where it is no draw: `[student.init]` resolved, and the facts of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deo_bench.errors import UserError, shown, unknown
from deo_bench.recipe.checking import checked
from deo_bench.recipe.models import InitTable, PartTable
from deo_bench.recipe.toml import Located
from deo_bench.registry import Registry
from deo_bench.weights import Weights, find

SCRATCH = "scratch"
KEYS: Mapping[str, tuple[str, ...]] = {
    SCRATCH: (),
    "hub": ("model",),
    "file": ("file", "model"),
    "teacher": ("teacher",),
    "run": ("run", "recipe", "seed", "weights"),
}
"""What each source takes beside its name."""

WHO = "student.init"


def init_of(
    table: Any, student: PartTable, teachers: Mapping[str, PartTable], registry: Registry, where: str
) -> InitTable | None:
    """What a student starts from, or none where it is drawn: `scratch`, or a table with from = a source."""
    table = {"from": table} if isinstance(table, str) else table
    if not isinstance(table, Mapping):
        raise UserError(f'{where}: expected "scratch" or a table with from = …, got {shown(table)}')
    source = table.get("from")
    if not isinstance(source, str) or source not in KEYS:
        raise unknown("source", source, KEYS, f"{where}.from")
    given = {name: value for name, value in table.items() if name != "from"}
    for name in given:
        if name not in KEYS[source]:
            takes = ", ".join(KEYS[source]) or "nothing else"
            raise UserError(f"{where}.{name}: from = {str(source)!r} takes {takes}")
    if source == SCRATCH:
        return None
    if student.options.get("file") is not None:
        raise UserError(f"{where}: student {student.use!r} starts from file = … already; say one of them")
    if source in ("hub", "file"):
        return checked(InitTable, {"from": source, **_published(str(source), given, student, where)}, where)
    part = _teacher(given, teachers, registry, where) if source == "teacher" else _run(given, registry, where)
    return InitTable.model_validate({"from": str(source), "teacher": part.model_dump()})


def weights_of(init: InitTable, cache: Path | None = None) -> Weights:
    """Where the weights of a file or of the hub are, looked up as a teacher's are."""
    return find(WHO, facts_of(init), init.file, cache)


def facts_of(init: InitTable) -> Mapping[str, str]:
    """The address of published weights, as a part's facts would state it."""
    return {"weights": f"hub:timm/{init.model}" if init.source == "hub" else "file"}


def _published(source: str, given: Mapping[str, Any], student: PartTable, where: str) -> dict[str, Any]:
    """The model that the weights are of, which is the student's own where it says one, and the file."""
    own = student.options.get("model")
    if own is not None and "model" in given:
        raise UserError(f"{where}.model: student {student.use!r} says its model itself, {own!r}; leave this one out")
    model = given.get("model", own)
    if source == "hub" and model is None:
        example = "vit_small_patch16_224.dino"
        raise UserError(f"{where}.model: which of timm's weights the student starts from, such as {example!r}")
    if source == "hub" and isinstance(model, str) and "." not in model:
        key = f"{where}.model" if own is None else f"{where.rpartition('.')[0]}.model"
        raise UserError(f"{key}: {model!r} does not say which weights; timm's names do, such as 'resnet50.a1_in1k'")
    told = {} if model is None else {"model": model}
    if source == "file":
        if "file" not in given:
            raise UserError(f"{where}.file: is missing; it names a file of weights in timm's names")
        file = given["file"]
        told["file"] = str(file.path) if isinstance(file, Located) else file
    return told


def _teacher(given: Mapping[str, Any], teachers: Mapping[str, PartTable], registry: Registry, where: str) -> PartTable:
    """The frozen teacher of a role: what it is, whatever the role is called."""
    role = given.get("teacher")
    if not isinstance(role, str) or role not in teachers:
        raise unknown("teacher's role", role, teachers, f"{where}.teacher")
    use, options = teachers[role].use, teachers[role].options
    if use == "none" or registry.get("teacher", use).facts.get("needs") in ("student", "bands"):
        raise UserError(f"{where}.teacher: expected a frozen teacher with a network of its own, {role!r} is {use!r}")
    return PartTable(use=use, options=options)


def _run(given: Mapping[str, Any], registry: Registry, where: str) -> PartTable:
    """A run as the teacher `run` names it, so that it is found, planned and recorded as one is."""
    if ("run" in given) == ("recipe" in given):
        raise UserError(f"{where}: say run = the name of a stored run, or recipe = a recipe file, one of them")
    recipe = given.get("recipe")
    told = {**given, "recipe": str(recipe.path) if isinstance(recipe, Located) else recipe}
    return PartTable(use="run", options=registry.options("teacher", "run", told, where))
