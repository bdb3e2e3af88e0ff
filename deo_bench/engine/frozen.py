"""Frozen teachers of a cohort: each distinct one is built once, and passed once a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from deo_bench.engine.passes import ViewFeatures, Views
from deo_bench.features import POOLED
from deo_bench.recipe import PartTable, Recipe, Term, canonical
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
        self._features: dict[tuple[str, str, str], ViewFeatures] = {}
        self._views: Views | None = None

    def get(self, table: PartTable) -> Teacher:
        """The teacher of a table."""
        key = _key(table)
        if key not in self._teachers:
            self._teachers[key] = self._build(table)
        return self._teachers[key]

    def expect(self, recipe: Recipe, teachers: Mapping[str, Teacher]) -> None:
        """Note which band sets and levels a recipe's terms look at."""
        for role, _, term in roles_and_terms(recipe):
            if not teachers[role].follows:
                look = (_key(recipe.teachers[role]), target_sees(term, teachers[role]))
                places = [place for place in term.target_on if place not in POOLED]
                self._levels[look] = tuple(dict.fromkeys([*self._levels.get(look, ()), *places]))

    def new_step(self, views: Views) -> None:
        """Another batch: what was worked out of the last one is forgotten."""
        self._views = views
        self._features = {}

    def features(self, table: PartTable, sees: str, precision: str) -> ViewFeatures:
        """A teacher's features of this step's global views."""
        assert self._views is not None
        key = (_key(table), sees, precision)
        if key not in self._features:
            with torch.no_grad():
                found = self.get(table)(self._views.images, sees, levels=self._levels.get(key[:2], ()))
            self._features[key] = ViewFeatures(found, self._views.count)
        return self._features[key]


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
