"""Teachers dropped at random, never the one that is furthest away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance, balance
from deo_bench.declarations import Fraction
from deo_bench.errors import UserError

NO_TEACHERS = ("student", "pixels")
"""What a term may go toward that is no teacher."""


@balance("teacher_drop", paper="https://arxiv.org/abs/2408.05088", draws=True)
class TeacherDrop(Balance):
    """Teacher dropping (UNIC): the teacher with the largest loss always teaches, every other one with chance 1 - p.

    A teacher's loss is the weighted sum of the terms toward it, l_t. With c_t = 1 for a teacher that is kept and 0 for
    one that is dropped, the sum is over t of s_t l_t with shares s_t that add up to 1, and whatever goes toward no
    teacher is added as it is. With one teacher it is `fixed`.

    by: `image` (as in the paper) draws and compares for each image of the batch by itself, and needs losses that have
    a value an image; `batch` does so once a step, with the means. normalise: by image, `batch` divides every c by their
    sum over all images and teachers, as UNIC's code does, so images that kept more teachers weigh more (with two
    teachers and p = 0.5 the easier one's share comes to 1/3); `image` gives every image the same weight (1/4). By batch
    the two are one. p: 0.5.
    """

    def __init__(
        self,
        terms: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        by: Literal["image", "batch"] = "image",
        p: Fraction = 0.5,
        normalise: Literal["batch", "image"] = "batch",
    ) -> None:
        super().__init__(terms)
        self.by, self.p, self.normalise = by, p, normalise
        self.teachers: dict[str, list[str]] = {}
        for name, roles in self.toward.items():
            of = [role for role in roles if role not in NO_TEACHERS]
            if len(of) > 1:
                raise UserError(
                    f"balance 'teacher_drop': objective.{name} goes toward {' and '.join(of)} together; "
                    "write a term for each teacher"
                )
            if of:
                self.teachers.setdefault(of[0], []).append(name)
        if by == "image":
            self.needs_images = tuple(name for names in self.teachers.values() for name in names)

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        """One backward pass of the teachers' losses by their shares, and of what goes toward none."""
        # A teacher whose terms all weigh nothing at this step is none.
        teaching = [names for names in self.teachers.values() if any(weights[name] for name in names)]
        rest = [name for name in losses if not any(name in names for names in teaching)]
        total = sum((weights[name] * losses[name] for name in rest), next(iter(losses.values())).new_zeros(()))
        if teaching:
            given = self.moment.images if self.by == "image" else losses
            parts = torch.stack([_summed([weights[name] * given[name] for name in names]) for names in teaching])
            total = total + (self.shares(parts.detach()) * parts).sum()
        run_backward(total)
        return total.detach()

    def shares(self, parts: Tensor) -> Tensor:
        """Shares [T, B], which add up to 1, of losses [T, B] by teacher and image (B = 1 by batch)."""
        drawn = torch.rand(parts.shape, generator=self.moment.generator).to(parts.device)
        kept = (drawn >= self.p).to(parts)
        kept.scatter_(0, parts.argmax(0, keepdim=True), 1.0)
        if self.normalise == "batch":
            return kept / kept.sum()
        return kept / kept.sum(0) / parts.shape[1]


def _summed(values: Sequence[Tensor]) -> Tensor:
    """The sum [B] of values an image, or [1] of means."""
    return torch.stack([value.reshape(-1) for value in values]).sum(0)
