"""What a loss is. Its file holds one decorated class; everything else comes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deo_bench.features import at_least_float32
from deo_bench.losses._ranks import is_split, joined
from deo_bench.registry import decorator


@dataclass(frozen=True)
class Batch:
    """What a loss may know beside features.

    index: [B] sample numbers in the data set; groups: [B] group ids or none; mask: [V, B, *grid] of the student's
    masked cells or none; pairs: (student view, target view) to compare; step; progress in [0, 1]; generator: of
    (seed, the term's name, step), on the CPU, the only thing that a loss draws from.
    """

    index: Tensor
    pairs: Sequence[tuple[int, int]]
    groups: Tensor | None = None
    mask: Tensor | None = None
    step: int = 0
    progress: float = 0.0
    generator: torch.Generator = field(default_factory=torch.Generator)


class Loss(nn.Module):
    """A number to minimise between a student's features and a target.

    `forward(student [V, B, D, *grid], target [U, B, D, *grid], batch)` gives a scalar; the views of a map have one
    size. A loss computes in at least float32 whatever autocast says; float64 stays float64. Its own parameters are
    trained and saved; its buffers change only in `after_step`. Where the batch is split over ranks, a loss that spans
    the batch or remembers is given the batch of all ranks, and knows nothing of them.

    Facts, given to the decorator: `takes` ("pooled", "maps" or "both"; both if left out), `needs_target` (true),
    `needs_mask` (false), `needs_groups` (false: the data have to give groups), `spans_batch` (false: the mathematics
    needs the whole batch; where an option decides it, the built loss's own `facts` say it), `dimension_free` (false:
    student and target must have one width, so a head is built), `needs_widths` (false: its constructor is handed the
    widths of the student's features and of the target that `forward` will be given, before its options: for a
    parameter or a memory a channel), `pairs` and `crops` (defaults for pooled vectors:
    "cross", "all"), `zero_at_target` (false), `draws` (false: uses the generator), `remembers` (false: has state),
    `paper`.
    """

    facts: dict[str, Any] = {}
    version = 1

    def __call__(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The loss in at least float32, outside autocast."""
        with torch.autocast(student.device.type, enabled=False):
            student = at_least_float32(student)
            target = None if target is None else at_least_float32(target)
            if self.facts.get("spans_batch") and is_split():
                student, target, batch = joined(student, target, batch)
            value = super().__call__(student, target, batch)
        assert value.ndim == 0, f"{type(self).__name__} must give a scalar, gave {tuple(value.shape)}"
        return value

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The loss, a scalar."""
        raise NotImplementedError

    @torch.no_grad()
    def remember(self, student: Tensor, target: Tensor | None, batch: Batch) -> None:
        """`after_step` with the batch of all ranks, in at least float32; what the engine calls."""
        if not self.facts.get("remembers"):
            return
        student, target = at_least_float32(student), None if target is None else at_least_float32(target)
        if is_split():
            student, target, batch = joined(student, target, batch)
        self.after_step(student, target, batch)

    def after_step(self, student: Tensor, target: Tensor | None, batch: Batch) -> None:
        """Change buffers (a queue, a centre) once the optimiser has stepped; nothing by default."""


class PairLoss(Loss):
    """A loss that compares views two by two: a subclass writes `pair`, and the mean over the pairs comes from here."""

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean over `batch.pairs`, every pair weighing the same."""
        assert target is not None, f"{type(self).__name__} needs a target"
        return torch.stack([self.pair(student[v], target[u]).mean() for v, u in batch.pairs]).mean()

    def per_image(self, student: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """Values [B] where `pair` gives one an image; a TypeError where it does not."""
        values = torch.stack([self.pair(student[v], target[u]) for v, u in batch.pairs])
        if values.ndim != 2:
            raise TypeError(f"{type(self).__name__} has no per-image values")
        return values.mean(0)

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """The loss of one pair of views, [B, D, *grid] each: [B] or a scalar."""
        raise NotImplementedError


loss = decorator("loss", Loss)
