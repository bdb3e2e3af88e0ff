"""How wide the features are that a term compares: before its head, and as its loss is given them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deo_bench.engine.terms import Place
from deo_bench.errors import UserError
from deo_bench.features import POOLED
from deo_bench.recipe import PIXELS, HeadTable, Recipe, Term
from deo_bench.students import Student
from deo_bench.teachers import Teacher


@dataclass(frozen=True)
class Widths:
    """Widths of one place of a term toward one role.

    given: of the student's features, one a level; target: of the target as it comes, which a head of the term's own
    projects to; student, theirs: of the student's features and the target as the loss gets them.
    """

    given: tuple[int, ...]
    target: int
    student: int
    theirs: int


def widths_of(
    recipe: Recipe, term: Term, role: str, place: Place, student: Student, teachers: Mapping[str, Teacher]
) -> Widths:
    """The widths of a term's place toward a role (empty where the term goes toward nothing)."""
    given = tuple(student.width(each) for each in place.on)
    target = _target_width(term, role, place, student, teachers)
    whole = target
    if len(term.toward) > 1 and term.aggregate != "mean_loss":
        each = [_target_width(term, other, place, student, teachers) for other in term.toward]
        whole = _together(term, each, teachers)
    if term.head is None:
        mine = given[0]
    else:
        table = recipe.heads[term.head] if isinstance(term.head, str) else term.head
        mine = table.width if isinstance(table, HeadTable) else whole
    is_fixed = role == PIXELS or (role in teachers and not teachers[role].follows)
    # The target of a pass of the student, or of what follows it, goes through the same head.
    theirs = whole if is_fixed or term.head is None else mine
    return Widths(given, target, mine, theirs)


def _together(term: Term, widths: Sequence[int], teachers: Mapping[str, Teacher]) -> int:
    """The width of targets that are put together; only frozen teachers of one width are averaged."""
    told = ", ".join(f"{role} {width}" for role, width in zip(term.toward, widths, strict=True))
    if any(role not in teachers or teachers[role].follows for role in term.toward):
        raise UserError(f"aggregate = {term.aggregate!r} is for frozen teachers; toward has {', '.join(term.toward)}")
    if term.aggregate == "concat_target":
        return sum(widths)
    if len(set(widths)) > 1:
        raise UserError(f"aggregate = 'mean_target' needs targets of one width, and these are {told}")
    return widths[0]


def cell_of(student: Student, masked: Mapping[str, Term]) -> int:
    """The side in pixels of what is masked as one: a cell of the coarsest level that a masked term looks at."""
    levels = [level for term in masked.values() for level in term.on if level not in POOLED]
    return max([student.stem.patch, *(student.stride(level) for level in levels)])


def _target_width(term: Term, role: str, place: Place, student: Student, teachers: Mapping[str, Teacher]) -> int:
    if role == PIXELS:
        bands = student.band_sets[term.target_sees or term.sees]
        return len(bands) * student.stride(place.target_on[-1]) ** 2
    if role in teachers:
        return teachers[role].width(place.target_on[-1])
    return student.width(place.target_on[-1])
