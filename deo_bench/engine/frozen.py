"""Frozen teachers of a cohort: each distinct one is built once, and passed once a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from deo_bench.engine.passes import CLEAN, ViewFeatures, Views, embedded
from deo_bench.errors import UserError
from deo_bench.features import POOLED
from deo_bench.normalisation import Normalisation
from deo_bench.recipe import PartTable, Recipe, TeacherTable, Term, canonical
from deo_bench.students import Student
from deo_bench.teachers import Teacher

Look = tuple[str, str]


class FrozenTeachers:
    """Teachers by what they are; their features of the step's global views are worked out when first asked for.

    Which levels are taken is fixed before the first step as the union over the cohort, so a run's features do not
    depend on its company beyond what is left unread.
    """

    def __init__(self, build: Callable[[PartTable], Teacher]) -> None:
        self._build = build
        self._teachers: dict[str, Teacher] = {}
        self._levels: dict[Look, tuple[str, ...]] = {}
        self._features: dict[tuple[object, ...], ViewFeatures] = {}
        self._views: Mapping[str, Views] = {}

    def get(self, table: PartTable) -> Teacher:
        """The teacher of a table."""
        part = PartTable(use=table.use, options=table.options)
        key = _key(part)
        if key not in self._teachers:
            self._teachers[key] = self._build(part)
        return self._teachers[key]

    def expect(self, recipe: Recipe, teachers: Mapping[str, Teacher]) -> None:
        """Note which band sets and levels a recipe's terms look at."""
        for role, _, term in roles_and_terms(recipe):
            if not teachers[role].follows:
                look = (_key(recipe.teachers[role]), target_sees(term, teachers[role]))
                places = [place for place in term.target_on if place not in POOLED]
                self._levels[look] = tuple(dict.fromkeys([*self._levels.get(look, ()), *places]))

    def new_step(self, views: Mapping[str, Views]) -> None:
        """Another batch: what was worked out of the last one is forgotten."""
        self._views = views
        self._features = {}

    def features(self, table: TeacherTable, sees: str, precision: str, student: Student) -> ViewFeatures:
        """A teacher's features of this step's global views, as they are and as normalised as its table says."""
        teacher = self.get(table)
        normalisation = normalisation_for(table, teacher, sees, student)
        key = (_key(table), sees, precision, normalisation)
        if key not in self._features:
            levels = self._levels.get((_key(table), sees), ())
            self._features[key] = look(teacher, views_for(table, self._views), sees, levels, normalisation)
        return self._features[key]


@torch.no_grad()
def look(
    teacher: Teacher,
    views: Views,
    sees: str,
    levels: tuple[str, ...],
    normalisation: Normalisation | None = None,
    alone: Tensor | None = None,
) -> ViewFeatures:
    """A teacher's features of some views; normalisation: another than its own.

    alone: which views show RGB alone [count * B], for a teacher that follows the student.
    """
    if alone is not None:
        (tokens,) = embedded(teacher, views.images, (sees,), alone=alone)
        return ViewFeatures(teacher.trunk(tokens, levels), views.count)  # type: ignore[operator]
    if normalisation is None:
        return ViewFeatures(teacher(views.images, sees, levels=levels), views.count)
    pixels = teacher.prepare(views.images, sees, normalisation)
    return ViewFeatures(teacher.extract(pixels, sees, levels), views.count)


def views_for(table: TeacherTable, views: Mapping[str, Views]) -> Views:
    """The global views that a teacher is shown."""
    return views[CLEAN if table.views == "clean" else "global"]


def normalisation_for(table: TeacherTable, teacher: Teacher, sees: str, student: Student) -> Normalisation | None:
    """The student's normalisation of the bands that a teacher sees, where its table asks for it; none for its own."""
    if table.normalise == "native" or teacher.follows:
        return None
    for name, bands in student.band_sets.items():
        if bands == teacher.band_sets[sees]:
            return student.normalisations[name]
    wanted, fed = ", ".join(teacher.band_sets[sees]), ", ".join(student.band_sets)
    raise UserError(f"teacher {table.use!r}: normalise = 'student' needs a student fed {wanted}; it is fed {fed}")


def needs_clean(recipe: Recipe) -> bool:
    """Whether any teacher is shown the crops as they came."""
    return any(table.views == "clean" for table in recipe.teachers.values())


def target_sees(term: Term, teacher: Teacher) -> str:
    """The band set that a teacher is fed for a term: what the term says, else its own, else the student's."""
    if term.target_sees is not None:
        return term.target_sees
    return term.sees if teacher.follows else teacher.first


def roles_and_terms(recipe: Recipe) -> list[tuple[str, str, Term]]:
    """Every (role of a teacher, name of a term that goes toward it, the term)."""
    named = recipe.objective.items()
    return [(role, name, term) for name, term in named for role in term.toward if role in recipe.teachers]


def _key(table: PartTable) -> str:
    return canonical(table.model_dump(mode="json"))
