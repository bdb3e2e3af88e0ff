"""What a space's recipes are built of, tried before the first trial: parts whose constructors refuse an option.

Nothing is read or fetched for it: students and published teachers are built without values, statistics are stand-ins.
This loads torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from deo_bench.bands import BAND_SETS
from deo_bench.data import Places
from deo_bench.declarations import Declaration
from deo_bench.engine.build import Statistics, build_student
from deo_bench.engine.objective import Objective
from deo_bench.engine.passes import embedded
from deo_bench.errors import MissingInput, UserError
from deo_bench.experiments.file import Experiment
from deo_bench.experiments.grid import GridCell
from deo_bench.experiments.sweep.assignments import assignments
from deo_bench.experiments.sweep.space import Space, recipe_of
from deo_bench.experiments.sweep.space_checks import culprit, in_words, refusal
from deo_bench.features import Images
from deo_bench.recipe import Identifier, PartTable, Recipe, StudentTable, Term, canonical
from deo_bench.registry import Registry
from deo_bench.students import Student
from deo_bench.teachers import Teacher, builds_without_weights

WIDTH = 64
"""Stands for the width of a teacher that cannot be built here."""

IMAGES = 2
"""Images without values that a student embeds."""


def check_built(space: Space, experiment: Experiment, cells: Sequence[GridCell]) -> None:
    """Build what every cell is made of, with every end and choice of the space, after `check_space`.

    Raises:
        UserError: what a constructor refuses, or a student that does not take the views' sizes, with the path.
    """
    tried = Tried(experiment.registry)
    for cell in cells:

        def refused(settings: Mapping[str, Any], cell: GridCell = cell) -> str | None:
            return tried(recipe_of(experiment, cell, settings))

        def attempt(settings: Mapping[str, Any]) -> None:
            if (told := refused(settings)) is not None:
                raise UserError(told)

        for settings in assignments(space):
            told = refused(settings)
            if told is None:
                continue
            if told == refused({}):
                raise UserError(f"{experiment.path}: the recipe{in_words(cell, cells)}: {told}")
            path = culprit(settings, attempt)
            raise refusal(space, path, settings, f"{in_words(cell, cells)}: {told}")


class Tried:
    """Recipes that were built; those that are built alike are built once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._seen: dict[str, str | None] = {}
        self._students: dict[str, Student] = {}
        self._frozen: dict[str, Teacher | None] = {}
        self._taken: set[tuple[int, str, int]] = set()

    def __call__(self, recipe: Recipe) -> str | None:
        """Why a recipe's parts cannot be built, or none where they can."""
        key = canonical(_made_of(recipe))
        if key not in self._seen:
            self._seen[key] = self._refused(recipe)
        return self._seen[key]

    def _refused(self, recipe: Recipe) -> str | None:
        try:
            student = self._student(recipe.student)
            self._check_sizes(recipe, student)
            if recipe.objective:
                self._build(recipe, student)
        except MissingInput:
            return None  # what is not here is said elsewhere, with the command that gets it
        except UserError as error:
            return str(error)
        return None

    def _build(self, recipe: Recipe, student: Student) -> None:
        """The objective, but for terms toward teachers that cannot be built here: of those, the pieces."""
        teachers = {role: self._teacher(table, student) for role, table in recipe.teachers.items()}
        known = {role: each for role, each in teachers.items() if each is not None}
        whole = {
            name: term
            for name, term in recipe.objective.items()
            if all(role not in teachers or role in known for role in term.toward)
        }
        for name, term in recipe.objective.items():
            if name not in whole:
                self._pieces(recipe, term)
        if len(whole) < len(recipe.objective):
            toward = {name: term.toward for name, term in recipe.objective.items()}
            self.registry.build("balance", recipe.balance.use, toward, options=recipe.balance.options)
            recipe = recipe.model_copy(update={"objective": whole, "balance": PartTable(use="fixed")})
        _without_values(lambda: Objective(recipe, student, known, self.registry, 0))

    def _student(self, table: StudentTable) -> Student:
        """A student as it is drawn, without a teacher of its own and whatever it starts from."""
        key = canonical(table.model_dump(mode="json", by_alias=True))
        if key not in self._students:
            bands = tuple(dict.fromkeys(band for name in table.bands for band in BAND_SETS[name]))
            statistics = Statistics(bands, "reflectance", [0.0] * len(bands), [1.0] * len(bands))
            alone = table.model_copy(update={"teacher": None, "init": None})
            self._students[key] = _without_values(lambda: build_student(alone, statistics, self.registry, 0))
        return self._students[key]

    def _check_sizes(self, recipe: Recipe, student: Student) -> None:
        sizes = {each.size for each in (recipe.views.global_, recipe.views.local) if each is not None and each.count}
        for sees, size in itertools.product(student.band_sets, sorted(sizes)):
            if (id(student), sees, size) not in self._taken:
                _takes(student, sees, size)
                self._taken.add((id(student), sees, size))

    def _teacher(self, table: PartTable, student: Student) -> Teacher | None:
        """A teacher that needs no weights to be built, or none."""
        declared = self.registry.get("teacher", table.use)
        if declared.facts.get("needs") == "student":
            return self._made(table, student)
        key = canonical(table.model_dump(mode="json"))
        if key not in self._frozen:
            self._frozen[key] = self._frozen_teacher(table, declared)
        return self._frozen[key]

    def _frozen_teacher(self, table: PartTable, declared: Declaration) -> Teacher | None:
        if declared.facts.get("needs") == "run":
            needed = Identifier(self.registry, Places(None, Path())).prerequisite(table)
            known = None if needed is None else needed.recipe
            return None if known is None else self._made(table, self._student(known.student))
        if builds_without_weights(declared):
            return self._made(table, False)
        return self._made(table) if declared.facts.get("weights") == "none" else None

    def _made(self, table: PartTable, *given: object) -> Teacher:
        def build() -> Any:
            return self.registry.build("teacher", table.use, *given, options=table.options)

        teacher: Teacher = _without_values(build)
        return teacher.freeze()

    def _pieces(self, recipe: Recipe, term: Term) -> None:
        """Loss, head and target transform of a term, at a width that stands for the teacher's."""
        needs = self.registry.get("loss", term.loss).facts.get("needs_widths")
        self.registry.build("loss", term.loss, *((WIDTH, WIDTH) if needs else ()), options=term.options)
        self.registry.build("target", term.target.use, WIDTH, options=term.target.options)
        head = recipe.heads[term.head] if isinstance(term.head, str) else term.head
        if head is not None:
            together = self.registry.get("head", head.use).facts.get("takes_levels")
            given = [WIDTH] * len(term.on) if together else WIDTH
            self.registry.build("head", head.use, given, WIDTH, options=head.options)


def _made_of(recipe: Recipe) -> dict[str, Any]:
    """What decides how a recipe is built: its parts and the sizes of its views."""
    table = recipe.model_dump(mode="json", by_alias=True)
    terms = {name: {**term, "weight": 1} for name, term in table["objective"].items()}
    sizes = [[each.count, each.size] for each in (recipe.views.global_, recipe.views.local) if each is not None]
    parts = {name: table[name] for name in ("student", "teachers", "heads", "balance")}
    return {**parts, "objective": terms, "sizes": sizes}


def _without_values(build: Callable[[], Any]) -> Any:
    """What is built on tensors without values; with values where that fails, so that only the part itself refuses."""
    try:
        with torch.device("meta"):
            return build()
    except Exception:
        return build()


def _takes(student: Student, sees: str, size: int) -> None:
    """Refuse a size of images that a student does not take: they are embedded without values, not passed on.

    Not every student can be tried so; of others a run says what it has to say.
    """
    if any(not value.is_meta for value in student.parameters()):
        return
    bands = student.band_sets[sees]
    images = Images(torch.zeros(IMAGES, len(bands), size, size, device="meta"), bands, "reflectance")
    try:
        with torch.no_grad():
            embedded(student, images, [sees])
    except UserError:
        raise
    except Exception:
        return
