"""Equal budgets: how many steps a recipe may make of so many steps, images or PFLOPs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deo_bench.bands import band_set
from deo_bench.data import Places
from deo_bench.errors import StoreError, UserError
from deo_bench.experiments.sweep.settings import Budget
from deo_bench.files import one_at_a_time, read_json, write_json
from deo_bench.recipe import Identifier, PartTable, Recipe, digest, resolve, set_path
from deo_bench.recipe.identity import ENGINE_VERSION, named_parts
from deo_bench.registry import Registry
from deo_bench.store import Store
from deo_bench.store.prune import SWEEPS

if TYPE_CHECKING:
    from deo_bench.engine.frozen import FrozenTeachers
    from deo_bench.students import Student
    from deo_bench.teachers import Teacher

KINDS = ("steps", "images", "pflops")
FILE = "costs.json"
"""Beside the folders of sweeps: digest of what a step's cost follows from -> additions and multiplications."""


@dataclass
class Costs:
    """What a step of a recipe costs; recipes that cost the same are counted once.

    A teacher that is a run need not be trained for it: an untrained one costs the same. Once a sweep has begun, what
    was counted is kept in the store (`FILE`), so that whoever looks at it builds nothing.
    """

    registry: Registry
    places: Places
    store: Store
    _known: dict[str, int] = field(default_factory=dict)
    _frozen: FrozenTeachers | None = None
    _is_kept: bool = False

    def of_step(self, recipe: Recipe) -> int:
        """Additions and multiplications of one step, teachers included, as `run.json` counts them."""
        key = self.key(recipe)
        if key not in self._known:
            self._known |= self._read()
        if key not in self._known:
            self._known[key] = self._counted(recipe)
            if self._is_kept:
                self.keep()
        return self._known[key]

    def key(self, recipe: Recipe) -> str:
        """The same for recipes whose steps are sure to cost the same; nothing is built for it."""
        return digest([self._told(recipe), recipe.train.batch, ENGINE_VERSION], 16)

    def keep(self) -> None:
        """Keep what was counted, and from now on what will be."""
        self._is_kept = True
        if not self._known.items() <= self._read().items():
            with one_at_a_time(self._path):
                write_json(self._path, {**self._read(), **self._known})

    @property
    def _path(self) -> Path:
        return self.store.root / SWEEPS / FILE

    def _read(self) -> dict[str, int]:
        """What was kept; what is torn or foreign is counted again."""
        try:
            kept = read_json(self._path) if self._path.is_file() else {}
        except StoreError:
            return {}
        found = kept.items() if isinstance(kept, dict) else ()
        return {key: cost for key, cost in found if type(cost) is int and cost > 0}

    def _told(self, recipe: Recipe) -> Any:
        """What a step's cost follows from: no weights of terms, nothing of the data, and of files their places."""
        told = recipe.model_dump(mode="json", by_alias=True, exclude={"balance", "train", "data"})
        for term in told["objective"].values():
            del term["weight"]
        parts = {
            f"{kind} {name}": self.registry.get(kind, name).identity
            for kind, name in named_parts(recipe)
            if kind not in ("balance", "data")
        }
        needed = {role: self._identifier.prerequisite(table) for role, table in recipe.every_teacher.items()}
        runs = {
            role: one.run if one.recipe is None else self._told(one.recipe)
            for role, one in needed.items()
            if one is not None
        }
        return [told, parts, runs]

    @cached_property
    def _identifier(self) -> Identifier:
        return Identifier(self.registry, self.places)

    def _counted(self, recipe: Recipe) -> int:
        import torch

        from deo_bench.engine.build import Statistics
        from deo_bench.engine.compute import step_flops
        from deo_bench.engine.frozen import FrozenTeachers
        from deo_bench.engine.training import Training

        self._frozen = self._frozen or FrozenTeachers(self._teacher)
        source = self.registry.build("data", recipe.data.use, options=recipe.data.options)
        statistics = Statistics.of(source.pack(self.places))
        drawn = recipe.model_copy(update={"student": recipe.student.model_copy(update={"init": None})})
        training = Training(drawn, 0, statistics, self._frozen, self.registry, torch.device("cpu"))
        return step_flops(training, statistics)

    def _teacher(self, table: PartTable) -> Teacher:
        from deo_bench.engine.build import build_frozen

        return build_frozen(table, self._untrained, self.registry)

    def _untrained(self, table: PartTable) -> Student:
        """The student that a teacher of the family `run` will be, as it begins."""
        from deo_bench.engine.build import Statistics, build_student
        from deo_bench.engine.stored import run_of_teacher

        needed = self._identifier.prerequisite(table)
        if needed is None or needed.recipe is None:
            return run_of_teacher(table, self._identifier, self.store)
        student = needed.recipe.student.model_copy(update={"init": None})
        bands = tuple(dict.fromkeys(band for name in student.bands for band in band_set(name)))
        statistics = Statistics(bands, "reflectance", [0.0] * len(bands), [1.0] * len(bands))
        return build_student(student, statistics, self.registry, needed.seed, self._teacher)


def with_budget(tables: Mapping[str, Any], budget: Budget | None, costs: Costs, where: str) -> dict[str, Any]:
    """A recipe's tables with the `train.steps` that spend a budget, to the nearest step; without one as they are.

    where: the file, for errors. Steps are part of a recipe, and so is the budget of its identity.
    """
    if budget is None:
        return dict(tables)
    given = [kind for kind in KINDS if getattr(budget, kind) is not None]
    if len(given) != 1:
        told = f"got {' and '.join(given)}" if given else "there is none"
        raise UserError(f"{where}: sweep.budget: say one of {', '.join(KINDS)}; {told}")
    one: dict[str, Any] = set_path(dict(tables), "train.steps", 1)
    recipe = resolve(one, costs.registry, where)
    if recipe.is_untrained:
        return one  # nothing is trained, and nothing is spent
    spent, unit = _of_step(recipe, budget, costs, where)
    total = Fraction(str(getattr(budget, given[0]))) * unit
    steps = int(total / spent + Fraction(1, 2))
    if steps < 1:
        told = f"{given[0]} = {getattr(budget, given[0]):g} is less than half a step"
        raise UserError(f"{where}: sweep.budget: {told}, which takes {float(Fraction(spent) / unit):.4g}; say more")
    done: dict[str, Any] = set_path(dict(tables), "train.steps", steps)
    return done


def _of_step(recipe: Recipe, budget: Budget, costs: Costs, where: str) -> tuple[int, int]:
    """What a step spends, and how many of that one of the budget's units is."""
    if budget.steps is not None:
        return 1, 1
    if budget.images is not None:
        return recipe.train.batch, 1
    try:
        spent = costs.of_step(recipe)
    except UserError as error:
        raise UserError(f"{where}: sweep.budget: {error}; say images or steps in the place of pflops") from None
    return spent, 10**15
