"""What a student starts from where it is no draw: published weights, a frozen teacher's network, a stored run's."""

from __future__ import annotations

from collections.abc import Callable

from deo_bench.backbone import Backbone
from deo_bench.errors import UserError
from deo_bench.recipe import InitTable, PartTable
from deo_bench.recipe.starting import WHO, facts_of
from deo_bench.students import Student
from deo_bench.teachers import Teacher
from deo_bench.teachers._checkpoints import read_state
from deo_bench.teachers._timm import TimmTeacher
from deo_bench.weights import fetch

FRESH_STEM = "its stem is as drawn, since the other was fed other bands or through another stem"


def begin(student: Student, table: InitTable, teacher: Callable[[PartTable], Teacher]) -> str:
    """Start a student, in place, from what its table says; what there is to tell of it, in one line.

    teacher: builds the frozen teacher that the table names. Weights of another architecture, or none at all, are a
    UserError in one line.
    """
    if table.teacher is None:
        path = fetch(WHO, facts_of(table), table.file)
        named = f"timm's {table.model}" if table.source == "hub" else path.name
        return _said(named, student.start(read_state(path), str(path), table.model))
    network = _network(teacher(table.teacher))
    if isinstance(network, Student):
        named = str(table.teacher.options.get("run") or table.teacher.options.get("recipe") or table.teacher.use)
        return _said(f"run {named}", _from_student(student, network, f"{WHO}: run {named}"))
    if not isinstance(network, TimmTeacher):
        raise UserError(f"{WHO}: teacher {table.teacher.use!r} has no network of timm's names to start from")
    state = {name: value.detach().cpu() for name, value in network.model.state_dict().items()}
    return _said(f"teacher {table.teacher.use}", student.start(state, f"{WHO}: teacher {table.teacher.use!r}"))


def _from_student(student: Student, other: Student, source: str) -> list[str]:
    """The whole student where both stems are one part that is fed the same band sets; else all but the stem."""
    own, given = student.stem.state_dict(), other.stem.state_dict()
    trunk = {name: value for name, value in other.state_dict().items() if not name.startswith("stem.")}
    told = student.take_trunk(trunk, source)
    is_same = type(student.stem) is type(other.stem) and student.stem.band_sets == other.stem.band_sets
    if not is_same or {n: v.shape for n, v in own.items()} != {n: v.shape for n, v in given.items()}:
        return [*told, FRESH_STEM]
    student.stem.load_state_dict(given)
    return told


def _network(teacher: Teacher) -> Backbone:
    """What a teacher speaks through: itself, or the backbone that it holds."""
    found: Backbone = teacher
    while isinstance(inner := getattr(found, "backbone", None), Backbone):
        found = inner
    return found


def _said(source: str, told: list[str]) -> str:
    return "; ".join([f"starts from {source}", *told])
