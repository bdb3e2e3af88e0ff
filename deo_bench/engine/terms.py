"""One term at work: student features through a head and a target through its transform, on one grid, into the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from deo_bench.engine.passes import ViewFeatures
from deo_bench.errors import UserError
from deo_bench.features import at_least_float32
from deo_bench.losses import Batch, Loss, PairLoss
from deo_bench.recipe import Term
from deo_bench.teachers import Teacher

Call = tuple[Tensor, Tensor | None, Batch]


@dataclass(frozen=True)
class Place:
    """Where a term looks: at the student, and at the target; several levels only where a head takes them together."""

    on: tuple[str, ...]
    target_on: tuple[str, ...]

    @property
    def name(self) -> str:
        """The student's place, its levels joined."""
        return "+".join(self.on)


def places_of(term: Term, together: bool) -> tuple[Place, ...]:
    """The places that a term compares at; together: its head takes all levels of `on` at once."""
    if together:
        return (Place(term.on, term.target_on),)
    return tuple(Place((on,), (target,)) for on, target in zip(term.on, term.target_on, strict=True))


@dataclass(frozen=True)
class StudentSide:
    """The student's features of one band set: of whole global crops, of local ones, and masked; none where unasked."""

    globals: ViewFeatures | None
    locals: ViewFeatures | None = None
    masked: ViewFeatures | None = None


class TermAtWork(nn.Module):
    """A term built: its loss, the head of each place, the transform of each target.

    heads: per role and place a head or Identity, shared ones included; targets: per role and place a transform;
    by_image: whether the balance wants the loss of each image.
    """

    def __init__(
        self, name: str, term: Term, loss: Loss, teachers: Mapping[str, Teacher], together: bool = False
    ) -> None:
        super().__init__()
        self.name = name
        self.term = term
        self.loss = loss
        self.together = together
        self.places = places_of(term, together)
        self.following = {role for role in term.toward if role in teachers and teachers[role].follows}
        self.heads: dict[tuple[str, str], nn.Module] = {}
        self.targets: dict[tuple[str, str], nn.Module] = {}
        self.calls: list[Call] = []
        self.by_image = False

    def forward(
        self,
        student: Mapping[str, StudentSide],
        teachers: Mapping[tuple[str, str], ViewFeatures],
        teacher_heads: Mapping[str, Mapping[tuple[str, str], nn.Module]],
        batch: Batch,
    ) -> Tensor:
        """The term's loss, or its values [B] an image: the mean over its places and the roles that it goes toward."""
        roles = self.term.toward or ("",)
        values = []
        self.calls = []
        for place in self.places:
            targets = [self._target(role, place, student, teachers, teacher_heads) for role in roles]
            for role, target in self._aggregated(roles, targets):
                values.append(self._compare(role, place, student[self.term.sees], target, batch))
        return torch.stack(values).mean(0)

    def _aggregated(self, roles: Sequence[str], targets: list[Tensor | None]) -> list[tuple[str, Tensor | None]]:
        if len(roles) == 1 or self.term.aggregate == "mean_loss":
            return list(zip(roles, targets, strict=True))
        tensors = [target for target in targets if target is not None]
        if tensors[0].ndim > 3:
            tensors = [_resized(target, tuple(tensors[0].shape[-2:])) for target in tensors]
        if self.term.aggregate == "concat_target":
            return [(roles[0], torch.cat(tensors, dim=2))]
        return [(roles[0], torch.stack(tensors).mean(0))]

    def _target(
        self,
        role: str,
        place: Place,
        student: Mapping[str, StudentSide],
        teachers: Mapping[tuple[str, str], ViewFeatures],
        teacher_heads: Mapping[str, Mapping[tuple[str, str], nn.Module]],
    ) -> Tensor | None:
        """The target [U, B, D, *grid] of a role at a place, through its head or its transform."""
        if not role:
            return None
        if role == "student":
            seen = student[self.term.target_sees or self.term.sees].globals
            assert seen is not None, "a pass of the student that a term goes toward was not made"
            return self._looked(self.heads[role, place.name], seen, place.target_on)
        features = teachers[role, self.name]
        if role in self.following:
            return self._looked(teacher_heads[role][self.name, place.name], features, place.target_on)
        return _through(self.targets[role, place.name], features.get(place.target_on[-1]))

    def _compare(self, role: str, place: Place, side: StudentSide, target: Tensor | None, batch: Batch) -> Tensor:
        """The loss of one place toward one target; crops of different sizes are stacked only without a grid."""
        head = self.heads[role, place.name]
        shown = side.masked if self.loss.facts.get("needs_mask") else side.globals
        assert shown is not None, "a pass of the student that a term looks at was not made"
        groups = [self._looked(head, shown, place.on, target)]
        if self.term.crops == "all" and side.locals is not None:
            groups.append(self._looked(head, side.locals, place.on, target))
        if groups[0].ndim == 3:
            groups = [torch.cat(groups)]
        values, weights, first = [], [], 0
        for views in groups:
            pairs = self._pairs(first, len(views), 0 if target is None else len(target))
            first += len(views)
            if not pairs:
                continue
            here, there = (views, None) if target is None else self._on_one_grid(views, target)
            call = (here, there, replace(batch, pairs=pairs, mask=_mask_on(batch.mask, here)))
            self.calls.append((here.detach(), None if there is None else there.detach(), call[2]))
            values.append(self._valued(*call))
            weights.append(float(len(pairs)))
        if not values:
            raise UserError(
                f"objective.{self.name}: no pair of views to compare; pairs = {self.term.pairs!r} needs more crops"
            )
        shares = torch.tensor(weights, dtype=values[0].dtype, device=values[0].device)
        shares = shares.view(-1, *[1] * values[0].ndim)
        return (torch.stack(values) * shares / shares.sum()).sum(0)

    def _valued(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The loss, a scalar or [B]."""
        if not self.by_image:
            return self.loss(student, target, batch)
        assert target is not None and isinstance(self.loss, PairLoss), "only a loss that compares pairs is asked this"
        with torch.autocast(student.device.type, enabled=False):
            try:
                return self.loss.per_image(at_least_float32(student), at_least_float32(target), batch)
            except TypeError:
                raise no_value_an_image(self.name, self.term.loss) from None

    def _pairs(self, first: int, views: int, targets: int) -> tuple[tuple[int, int], ...]:
        """Which (student view, target view) are compared; without a target each view stands for itself."""
        if targets == 0:
            return tuple((view, view) for view in range(views))
        wanted = {"all": lambda v, u: True, "same": lambda v, u: v == u, "cross": lambda v, u: v != u}[self.term.pairs]
        return tuple((v, u) for u in range(targets) for v in range(views) if wanted(first + v, u))

    def _looked(
        self, head: nn.Module, features: ViewFeatures, places: Sequence[str], target: Tensor | None = None
    ) -> Tensor:
        """Features through a head; the levels that it takes together come to the grid of the comparison first."""
        if not self.together:
            return _through(head, features.get(places[0]))
        levels = [features.get(each) for each in places]
        if levels[-1].ndim > 3 and len(levels) > 1:
            grid = self._grid(levels[-1], levels[-1] if target is None else target)
            levels = [_resized(level, grid) for level in levels]
        out = head([level.flatten(0, 1) for level in levels])
        return out.view(*levels[0].shape[:2], *out.shape[1:])

    def _on_one_grid(self, student: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Both on the grid that the term compares on."""
        if student.ndim == 3 or student.shape[-2:] == target.shape[-2:]:
            return student, target
        grid = self._grid(student, target)
        return _resized(student, grid), _resized(target, grid)

    def _grid(self, student: Tensor, target: Tensor) -> tuple[int, ...]:
        mine, theirs = tuple(student.shape[-2:]), tuple(target.shape[-2:])
        return {"target": theirs, "student": mine, "smaller": min(mine, theirs)}[self.term.grid]


def no_value_an_image(name: str, loss: str) -> UserError:
    """What is said of a term whose loss cannot be compared image by image."""
    return UserError(
        f"objective.{name}: the balance compares teachers image by image, and loss {loss!r} has no value an image; "
        'say balance.by = "batch", or take a loss that compares images one by one, such as cosine'
    )


def _through(module: nn.Module, value: Tensor) -> Tensor:
    """A module over [V, B, D, *grid], views and batch flattened for it."""
    if isinstance(module, nn.Identity):
        return value
    out = module(value.flatten(0, 1))
    return out.view(*value.shape[:2], *out.shape[1:])


def _resized(value: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Maps [V, B, D, h, w] on another grid: bilinear, edges not aligned, averaging where it shrinks."""
    if tuple(value.shape[-2:]) == grid:
        return value
    shrinks = grid < tuple(value.shape[-2:])
    resized = functional.interpolate(value.flatten(0, 1), size=grid, mode="bilinear", antialias=shrinks)
    return resized.view(*value.shape[:2], *resized.shape[1:])


def _mask_on(mask: Tensor | None, features: Tensor) -> Tensor | None:
    """The mask [V, B, h, w] on the grid of maps [V, B, D, h', w']: a cell takes the value that lies at its centre."""
    if mask is None or features.ndim == 3 or mask.shape[-2:] == features.shape[-2:]:
        return mask
    grid = tuple(features.shape[-2:])
    return functional.interpolate(mask.float(), size=grid, mode="nearest-exact").bool()
