"""The terms together: which passes they need, their heads, and the balance that owns the backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance
from deo_bench.draws import global_seed, seed_of
from deo_bench.engine.passes import ViewFeatures, Views, draw_mask, needs_of, student_passes
from deo_bench.engine.terms import StudentSide, TermAtWork
from deo_bench.errors import UserError
from deo_bench.features import POOLED
from deo_bench.losses import Batch
from deo_bench.recipe import HeadTable, PartTable, Recipe, Term
from deo_bench.registry import Registry
from deo_bench.schedules import value_at
from deo_bench.students import Student
from deo_bench.teachers import Teacher


class Objective(nn.Module):
    """Heads, terms and balance of one run. Every part is initialised from (seed, its name)."""

    def __init__(
        self, recipe: Recipe, student: Student, teachers: Mapping[str, Teacher], registry: Registry, seed: int
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.seed = seed
        self.needs = needs_of(recipe.objective)
        self.heads = nn.ModuleDict()
        self.terms = nn.ModuleDict()
        self.transforms = nn.ModuleDict()
        self._registry = registry
        needing = [
            term for term in recipe.objective.values() if registry.get("loss", term.loss).facts.get("needs_mask")
        ]
        self._masked = sorted({term.sees for term in needing})
        for name, term in recipe.objective.items():
            self._check_places(name, term, student, teachers)
            loss = self._seeded(f"loss {name}", "loss", term.loss, options=term.options)
            work = TermAtWork(name, term, loss, teachers)
            for role in term.toward or ("",):
                for place, target_place in zip(term.on, term.target_on, strict=True):
                    self._wire(work, role, place, target_place, student, teachers)
            self.terms[name] = work
        self.balance: Balance = registry.build(
            "balance", recipe.balance.use, list(recipe.objective), options=recipe.balance.options
        )
        for role, teacher in teachers.items():
            if teacher.follows:
                teacher.adopt(self.heads_toward(role))

    def forward(
        self,
        student: Student,
        views: Mapping[str, Views],
        teachers: Mapping[tuple[str, str], ViewFeatures],
        followers: Mapping[str, Teacher],
        batch: Batch,
    ) -> dict[str, Tensor]:
        """The loss of each term.

        views: `global` and, where a term looks at them, `local`; teachers: features by (role, term); followers: the
        teachers that keep heads of their own.
        """
        mask = self._mask(student, views["global"], batch.step)
        sides = self._look(student, views, mask, batch.step)
        shown = None if mask is None else mask.view(views["global"].count, -1, *mask.shape[1:])
        heads = {role: self._copied_heads(role, teacher) for role, teacher in followers.items()}
        losses = {}
        for name, work in self.work.items():
            drawing = torch.Generator().manual_seed(seed_of(self.seed, f"loss {name}", batch.step))
            own = Batch(batch.index, (), batch.groups, shown, batch.step, batch.progress, drawing)
            losses[name] = work(sides, teachers, heads, own)
        return losses

    def weights(self, step: int) -> dict[str, float]:
        """The terms' weights at a step."""
        steps = self.recipe.train.steps
        return {name: value_at(term.weight, step, steps) for name, term in self.recipe.objective.items()}

    def backward(
        self, losses: Mapping[str, Tensor], step: int, shared: Sequence[nn.Parameter], run_backward: Backward
    ) -> Tensor:
        """Gradients, by the balance; the number that was minimised."""
        return self.balance.backward(losses, self.weights(step), shared, run_backward)

    def after_step(self) -> None:
        """Let losses that remember change their buffers."""
        for work in self.work.values():
            for call in work.calls:
                work.loss.remember(*call)
            work.calls = []

    @property
    def work(self) -> dict[str, TermAtWork]:
        """The terms at work, by name."""
        return cast("dict[str, TermAtWork]", dict(self.terms.items()))

    def heads_toward(self, role: str) -> dict[str, nn.Module]:
        """The heads that terms toward a role pass through, by name."""
        keys = {self._head_key(name, role, place) for name, role_, place in self._places() if role_ == role}
        return {key: self.heads[key] for key in sorted(keys) if key in self.heads}

    def _places(self) -> Iterator[tuple[str, str, str]]:
        for name, term in self.recipe.objective.items():
            for role in term.toward:
                for place in term.on:
                    yield name, role, place

    def _head_key(self, name: str, role: str, place: str) -> str:
        head = self.recipe.objective[name].head
        return head if isinstance(head, str) else f"{name}:{role}:{place}"

    def _copied_heads(self, role: str, teacher: Teacher) -> dict[tuple[str, str], nn.Module]:
        copies = {}
        for name, role_, place in self._places():
            if role_ == role:
                key = self._head_key(name, role, place)
                copies[name, place] = teacher.heads[key] if key in teacher.heads else nn.Identity()
        return copies

    def _mask(self, student: Student, views: Views, step: int) -> Tensor | None:
        if not self._masked:
            return None
        return draw_mask(self.recipe.views, views, student.stem.patch, self.seed, step)

    def _look(
        self, student: Student, views: Mapping[str, Views], mask: Tensor | None, step: int
    ) -> dict[str, StudentSide]:
        """Every pass of the student that the terms need; what a pass draws depends on (seed, pass, step) alone."""

        def looked(which: str, bands: Sequence[str], mask: Tensor | None = None) -> dict[str, ViewFeatures]:
            if not bands:
                return {}
            with global_seed(self.seed, "student", which, "masked" if mask is not None else "seen", step):
                group = views[which]
                return student_passes(student, group, bands, self.needs.levels, mask)

        bands = sorted(self.needs.local)
        near = looked("global", bands)
        far = looked("local", [sees for sees in bands if self.needs.local[sees]] if "local" in views else [])
        masked = looked("global", self._masked, mask)
        return {sees: StudentSide(near[sees], far.get(sees), masked.get(sees)) for sees in bands}

    def _wire(
        self,
        work: TermAtWork,
        role: str,
        place: str,
        target_place: str,
        student: Student,
        teachers: Mapping[str, Teacher],
    ) -> None:
        """Give a term its head and its target transform for one role and place."""
        term, key = work.term, self._head_key(work.name, role, place)
        width = student.width(place)
        teacher = teachers.get(role)
        target_width = teacher.width(target_place) if teacher is not None else student.width(target_place)
        if term.head is None:
            work.heads[role, place] = nn.Identity()
        else:
            if key not in self.heads:
                self.heads[key] = self._head(key, term.head, width, target_width)
            work.heads[role, place] = self.heads[key]
        if teacher is not None and not teacher.follows:
            name = f"{work.name}:{role}:{place}"
            transform = self._registry.build("target", term.target.use, target_width, options=term.target.options)
            self.transforms[name] = transform
            work.targets[role, place] = transform
            mine = width if term.head is None else int(self.heads[key].out_width)  # type: ignore[arg-type]
            self._check_widths(work, role, place, mine, target_width)

    def _head(self, key: str, named: str | PartTable, width: int, target_width: int) -> nn.Module:
        table = self.recipe.heads[named] if isinstance(named, str) else named
        out = table.width if isinstance(table, HeadTable) else target_width
        return self._seeded(f"head {key}", "head", table.use, width, out, options=table.options)

    def _seeded(self, stream: str, kind: str, name: str, *given: object, options: Mapping[str, object]) -> Any:
        with global_seed(self.seed, stream):
            return self._registry.build(kind, name, *given, options=options)

    def _check_widths(self, work: TermAtWork, role: str, place: str, mine: int, theirs: int) -> None:
        free = bool(self._registry.get("loss", work.term.loss).facts.get("dimension_free"))
        if not free and mine != theirs:
            raise UserError(
                f"objective.{work.name}: {place} is {mine} wide and the target from {role!r} {theirs}; "
                "leave `head` out for a head of the term's own, or give the shared head that width"
            )

    def _check_places(self, name: str, term: Term, student: Student, teachers: Mapping[str, Teacher]) -> None:
        for place in term.on:
            _check(student, place, f"objective.{name}.on")
        for role in term.toward:
            if role in teachers:
                for place in term.target_on:
                    _check(teachers[role], place, f"objective.{name}.target_on")


def _check(backbone: Student | Teacher, place: str, where: str) -> None:
    try:
        backbone.width(place)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if place in POOLED and place != "default" and place not in backbone.pooled_dims:
        raise UserError(f"{where}: {backbone.no_level(place)}")
