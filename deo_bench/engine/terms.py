"""One term at work: student features through a head and a target through its transform, on one grid, into the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from deo_bench.engine.passes import ViewFeatures
from deo_bench.errors import UserError
from deo_bench.losses import Batch, Loss
from deo_bench.recipe import Term
from deo_bench.teachers import Teacher

Call = tuple[Tensor, Tensor | None, Batch]


@dataclass(frozen=True)
class StudentSide:
    """The student's features of one band set: of global crops, of local ones where there are any, and masked."""

    globals: ViewFeatures
    locals: ViewFeatures | None = None
    masked: ViewFeatures | None = None


class TermAtWork(nn.Module):
    """A term built: its loss, the head of each place, the transform of each target.

    heads: per place a head or Identity, shared ones included; targets: per role and place a transform.
    """

    def __init__(self, name: str, term: Term, loss: Loss, teachers: Mapping[str, Teacher]) -> None:
        super().__init__()
        self.name = name
        self.term = term
        self.loss = loss
        self.following = {role for role in term.toward if role in teachers and teachers[role].follows}
        self.heads: dict[tuple[str, str], nn.Module] = {}
        self.targets: dict[tuple[str, str], nn.Module] = {}
        self.calls: list[Call] = []

    def forward(
        self,
        student: Mapping[str, StudentSide],
        teachers: Mapping[tuple[str, str], ViewFeatures],
        teacher_heads: Mapping[str, Mapping[tuple[str, str], nn.Module]],
        batch: Batch,
    ) -> Tensor:
        """The term's loss: the mean over its places, and over the roles that it goes toward."""
        roles = self.term.toward or ("",)
        values = []
        self.calls = []
        for place, target_place in zip(self.term.on, self.term.target_on, strict=True):
            targets = [self._target(role, place, target_place, student, teachers, teacher_heads) for role in roles]
            for role, target in self._aggregated(roles, targets):
                values.append(self._compare(role, place, student[self.term.sees], target, batch))
        return torch.stack(values).mean()

    def _aggregated(self, roles: Sequence[str], targets: list[Tensor | None]) -> list[tuple[str, Tensor | None]]:
        if len(roles) == 1 or self.term.aggregate == "mean_loss":
            return list(zip(roles, targets, strict=True))
        tensors = [target for target in targets if target is not None]
        if self.term.aggregate == "concat_target":
            return [(roles[0], torch.cat(tensors, dim=2))]
        return [(roles[0], torch.stack(tensors).mean(0))]

    def _target(
        self,
        role: str,
        place: str,
        target_place: str,
        student: Mapping[str, StudentSide],
        teachers: Mapping[tuple[str, str], ViewFeatures],
        teacher_heads: Mapping[str, Mapping[tuple[str, str], nn.Module]],
    ) -> Tensor | None:
        """The target [U, B, D, *grid] of a role at a place, through its head or its transform."""
        if not role:
            return None
        if role == "student":
            features = student[self.term.target_sees or self.term.sees].globals
            return self._through(self.heads[role, place], features.get(target_place))
        value = teachers[role, self.name].get(target_place)
        if role in self.following:
            return self._through(teacher_heads[role][self.name, place], value)
        return self._through(self.targets[role, place], value)

    def _compare(self, role: str, place: str, side: StudentSide, target: Tensor | None, batch: Batch) -> Tensor:
        """The loss of one place toward one target; crops of different sizes are stacked only without a grid."""
        is_masked = bool(self.loss.facts.get("needs_mask")) and side.masked is not None
        shown = side.masked if is_masked and side.masked is not None else side.globals
        groups = [self._through(self.heads[role, place], shown.get(place))]
        if self.term.crops == "all" and side.locals is not None:
            groups.append(self._through(self.heads[role, place], side.locals.get(place)))
        if groups[0].ndim == 3:
            groups = [torch.cat(groups)]
        values, weights, first = [], [], 0
        for views in groups:
            pairs = self._pairs(first, len(views), 0 if target is None else len(target))
            first += len(views)
            if not pairs:
                continue
            here, there = (views, None) if target is None else self._on_one_grid(views, target)
            call = (here, there, replace(batch, pairs=pairs))
            self.calls.append((here.detach(), None if there is None else there.detach(), call[2]))
            values.append(self.loss(*call))
            weights.append(float(len(pairs)))
        if not values:
            raise UserError(
                f"objective.{self.name}: no pair of views to compare; pairs = {self.term.pairs!r} needs more crops"
            )
        shares = torch.tensor(weights, dtype=values[0].dtype, device=values[0].device)
        return (torch.stack(values) * shares / shares.sum()).sum()

    def _pairs(self, first: int, views: int, targets: int) -> tuple[tuple[int, int], ...]:
        """Which (student view, target view) are compared; without a target each view stands for itself."""
        if targets == 0:
            return tuple((view, view) for view in range(views))
        wanted = {"all": lambda v, u: True, "same": lambda v, u: v == u, "cross": lambda v, u: v != u}[self.term.pairs]
        return tuple((v, u) for u in range(targets) for v in range(views) if wanted(first + v, u))

    def _on_one_grid(self, student: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Both on the grid that the term compares on."""
        if student.ndim == 3 or student.shape[-2:] == target.shape[-2:]:
            return student, target
        mine, theirs = tuple(student.shape[-2:]), tuple(target.shape[-2:])
        grid = {"target": theirs, "student": mine, "smaller": min(mine, theirs)}[self.term.grid]
        return _resized(student, grid), _resized(target, grid)

    @staticmethod
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
