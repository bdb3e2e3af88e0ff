"""The terms together: which passes they need, their heads, and the balance that owns the backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance, Moment
from deo_bench.draws import global_seed, seed_of
from deo_bench.engine.passes import (
    ViewFeatures,
    Views,
    draw_mask,
    draw_modality,
    needs_of,
    pixel_targets,
    student_passes,
)
from deo_bench.engine.terms import Place, StudentSide, TermAtWork, no_value_an_image, places_of
from deo_bench.engine.widths import Widths, cell_of, widths_of
from deo_bench.errors import UserError
from deo_bench.features import POOLED
from deo_bench.losses import Batch, PairLoss
from deo_bench.recipe import PIXELS, PartTable, Recipe, Term
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
        self.heads = nn.ModuleDict()
        self.terms = nn.ModuleDict()
        self.transforms = nn.ModuleDict()
        self._registry = registry
        self._given: dict[str, int | list[int]] = {}
        self._compared: dict[str, Widths] = {}
        masked = {name: term for name, term in recipe.objective.items() if self._fact(term, "needs_mask")}
        self.needs = needs_of(recipe.objective, masked)
        for name, term in recipe.objective.items():
            self._check_places(name, term, student, teachers)
            self._build(name, term, student, teachers)
        self._cell = cell_of(student, masked)
        self._check_cells(masked, student)
        self.balance: Balance = registry.build(
            "balance",
            recipe.balance.use,
            {name: term.toward for name, term in recipe.objective.items()},
            options=recipe.balance.options,
        )
        self._images: dict[str, Tensor] = {}
        for name in self.balance.needs_images:
            self._ask_by_image(name)
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
        mask = self._mask(views["global"], batch.step)
        sides = self._look(student, views, mask, batch.step)
        shown = None if mask is None else mask.view(views["global"].count, -1, *mask.shape[1:])
        heads = {role: self._copied_heads(role, teacher) for role, teacher in followers.items()}
        targets = {**teachers, **self._pixels(student, views["global"])}
        losses = {}
        self._images = {}
        for name, work in self.work.items():
            drawing = torch.Generator().manual_seed(seed_of(self.seed, f"loss {name}", batch.step))
            own = Batch(batch.index, (), batch.groups, shown, batch.step, batch.progress, drawing)
            losses[name] = work(sides, targets, heads, own)
            if work.by_image:
                self._images[name] = losses[name]
                losses[name] = losses[name].mean()
        return losses

    def weights(self, step: int) -> dict[str, float]:
        """The terms' weights at a step."""
        steps = self.recipe.train.steps
        return {name: value_at(term.weight, step, steps) for name, term in self.recipe.objective.items()}

    def backward(
        self,
        losses: Mapping[str, Tensor],
        step: int,
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
        scale: float = 1.0,
    ) -> Tensor:
        """Gradients, by the balance; the number that was minimised. scale: what `run_backward` multiplies by."""
        drawing = torch.Generator().manual_seed(seed_of(self.seed, "balance", step))
        self.balance.moment = Moment(step, drawing, scale, self._images)
        total = self.balance.backward(losses, self.weights(step), shared, run_backward)
        self.balance.moment, self._images = Moment(), {}
        return total

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
        for name, work in self.work.items():
            for role in work.term.toward:
                for place in work.places:
                    yield name, role, place.name

    def _head_key(self, name: str, role: str, place: str) -> str:
        term = self.recipe.objective[name]
        if isinstance(term.head, str):
            return term.head
        # Targets that are put together meet one head.
        return f"{name}:{role if term.aggregate == 'mean_loss' else term.toward[0]}:{place}"

    def _copied_heads(self, role: str, teacher: Teacher) -> dict[tuple[str, str], nn.Module]:
        copies = {}
        for name, role_, place in self._places():
            if role_ == role:
                key = self._head_key(name, role, place)
                copies[name, place] = teacher.heads[key] if key in teacher.heads else nn.Identity()
        return copies

    def _mask(self, views: Views, step: int) -> Tensor | None:
        return draw_mask(self.recipe.views, views, self._cell, self.seed, step) if self.needs.masked else None

    def _pixels(self, student: Student, views: Views) -> dict[tuple[str, str], ViewFeatures]:
        """The targets of the terms toward pixels, as if a teacher had said them."""
        return {
            (PIXELS, name): pixel_targets(student, views, term.target_sees or term.sees, term.target_on)
            for name, term in self.recipe.objective.items()
            if PIXELS in term.toward
        }

    def _look(
        self, student: Student, views: Mapping[str, Views], mask: Tensor | None, step: int
    ) -> dict[str, StudentSide]:
        """Every pass of the student that the terms need; what a pass draws depends on (seed, pass, step) alone."""

        def looked(which: str, bands: Sequence[str], mask: Tensor | None = None) -> dict[str, ViewFeatures]:
            if not bands:
                return {}
            with global_seed(self.seed, "student", which, "masked" if mask is not None else "seen", step):
                group = views[which]
                alone = draw_modality(self.recipe.views, group, which, self.seed, step)
                return student_passes(student, group, bands, self.needs.levels, mask, alone)

        bands = sorted(self.needs.local)
        near = looked("global", bands)
        far = looked("local", [sees for sees in bands if self.needs.local[sees]] if "local" in views else [])
        masked = looked("global", sorted(self.needs.masked), mask)
        return {sees: StudentSide(near.get(sees), far.get(sees), masked.get(sees)) for sees in {**near, **masked}}

    def _build(self, name: str, term: Term, student: Student, teachers: Mapping[str, Teacher]) -> None:
        """A term at work, its loss built for the widths that it is given."""
        together = term.head is not None and self._takes_levels(self._table(term.head))
        widths = {
            (role, place): widths_of(self.recipe, term, role, place, student, teachers)
            for role in term.toward or ("",)
            for place in places_of(term, together)
        }
        work = TermAtWork(name, term, self._loss(name, term, list(widths.values())), teachers, together)
        for (role, place), found in widths.items():
            self._wire(work, role, place, found, teachers.get(role))
        self.terms[name] = work
        self._compared[name] = next(iter(widths.values()))

    def _ask_by_image(self, name: str) -> None:
        """Let a term give its loss an image, for a balance that compares images; tried on two, to be sure of it."""
        work = self.work[name]
        try:
            assert isinstance(work.loss, PairLoss)
            work.loss.per_image(*_two_images(work, self._compared[name]))
        except (AssertionError, TypeError):
            raise no_value_an_image(name, work.term.loss) from None
        work.by_image = True

    def _loss(self, name: str, term: Term, widths: Sequence[Widths]) -> Any:
        """The term's loss; one with parameters or a memory a channel is handed the widths."""
        given: tuple[int, ...] = ()
        if self._fact(term, "needs_widths"):
            given = (widths[0].student, widths[0].theirs)
            if any((each.student, each.theirs) != given for each in widths):
                raise UserError(
                    f"objective.{name}: loss {term.loss!r} keeps something a channel, and its places differ in width; "
                    "write a term for each"
                )
        return self._seeded(f"loss {name}", "loss", term.loss, *given, options=term.options)

    def _wire(self, work: TermAtWork, role: str, place: Place, widths: Widths, teacher: Teacher | None) -> None:
        """Give a term its head and its target transform for one role and place."""
        term, at = work.term, (role, place.name)
        work.heads[at] = nn.Identity()
        if term.head is not None:
            work.heads[at] = self._head(self._head_key(work.name, *at), work, widths)
        if role == PIXELS:
            work.targets[at] = nn.Identity()
        elif role and (teacher is None or teacher.follows) and term.head is not None and not work.together:
            self._check_copied(work, place, widths)
        if role and not (teacher is not None and not teacher.follows):
            self._check_widths(work, *at, widths)
        if teacher is not None and not teacher.follows:
            transform = self._registry.build("target", term.target.use, widths.target, options=term.target.options)
            self.transforms[f"{work.name}:{role}:{place.name}"] = transform
            work.targets[at] = transform
            self._check_widths(work, *at, widths)

    def _head(self, key: str, work: TermAtWork, widths: Widths) -> nn.Module:
        """The head of a key, made where it is first asked for."""
        assert work.term.head is not None
        table = self._table(work.term.head)
        given = list(widths.given) if work.together else widths.given[0]
        if key not in self.heads:
            self.heads[key] = self._seeded(
                f"head {key}", "head", table.use, given, widths.student, options=table.options
            )
            self._given[key] = given
        if self._given[key] != given:
            raise UserError(
                f"objective.{work.name}: head {key!r} was made for features {self._given[key]} wide, "
                f"and these are {given}; give the term a head of its own"
            )
        return self.heads[key]

    def _table(self, named: str | PartTable) -> PartTable:
        return self.recipe.heads[named] if isinstance(named, str) else named

    def _takes_levels(self, table: PartTable) -> bool:
        return bool(self._registry.get("head", table.use).facts.get("takes_levels"))

    def _fact(self, term: Term, fact: str) -> bool:
        return bool(self._registry.get("loss", term.loss).facts.get(fact))

    def _seeded(self, stream: str, kind: str, name: str, *given: object, options: Mapping[str, object]) -> Any:
        with global_seed(self.seed, stream):
            return self._registry.build(kind, name, *given, options=options)

    def _check_widths(self, work: TermAtWork, role: str, place: str, widths: Widths) -> None:
        if not self._fact(work.term, "dimension_free") and widths.student != widths.theirs:
            raise UserError(
                f"objective.{work.name}: {place} is {widths.student} wide and the target from {role!r} "
                f"{widths.theirs}; "
                "leave `head` out for a head of the term's own, or give the shared head that width"
            )

    def _check_copied(self, work: TermAtWork, place: Place, widths: Widths) -> None:
        """A target that passes the term's own head has to be as wide as what the head was made for."""
        if widths.target != widths.given[0]:
            mine, theirs = widths.given[0], f"{place.target_on[-1]} of the target {widths.target}"
            raise UserError(
                f"objective.{work.name}: {place.name} is {mine} wide and {theirs}, and both pass one head; "
                "say target_on = a place of the same width"
            )

    def _check_places(self, name: str, term: Term, student: Student, teachers: Mapping[str, Teacher]) -> None:
        for place in term.on:
            _check(student, place, f"objective.{name}.on")
        for role in term.toward:
            if role in teachers:
                for place in term.target_on:
                    _check(teachers[role], place, f"objective.{name}.target_on")

    def _check_cells(self, masked: Mapping[str, Term], student: Student) -> None:
        """What is masked or reconstructed cell by cell needs crops of whole cells."""
        size = self.recipe.views.global_.size
        for name, term in self.recipe.objective.items():
            cells = [self._cell] if name in masked else []
            cells += [student.stride(level) for level in term.target_on if PIXELS in term.toward]
            for cell in cells:
                if size % cell:
                    raise UserError(
                        f"objective.{name}: views.global.size = {size} is no multiple of {cell}, the side in pixels of "
                        f"a cell of {', '.join(term.on)}"
                    )


def _two_images(work: TermAtWork, widths: Widths) -> tuple[Tensor, Tensor, Batch]:
    """Features and a target of two images, of the widths that a term compares."""
    drawing = torch.Generator().manual_seed(0)
    grid = () if work.term.on[0] in POOLED else (2, 2)
    mask = torch.ones(1, 2, *grid, dtype=torch.bool)
    student, target = (torch.rand(1, 2, width, *grid, generator=drawing) for width in (widths.student, widths.theirs))
    return student, target, Batch(torch.arange(2), [(0, 0)], mask=mask)


def _check(backbone: Student | Teacher, place: str, where: str) -> None:
    try:
        backbone.width(place)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if place in POOLED and place != "default" and place not in backbone.pooled_dims:
        raise UserError(f"{where}: {backbone.no_level(place)}")
