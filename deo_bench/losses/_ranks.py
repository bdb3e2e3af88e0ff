"""Batches of several ranks as one: what a loss that spans the batch, or remembers it, is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_gather

if TYPE_CHECKING:
    from deo_bench.losses import Batch


def is_split() -> bool:
    """Whether the batch is split over ranks."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def joined(student: Tensor, target: Tensor | None, batch: Batch) -> tuple[Tensor, Tensor | None, Batch]:
    """The features [V, N * B, ...] and the batch of all N ranks, in their order.

    Gradients flow back to the rank that a row came from, added up over the ranks; each has the loss of the whole, so
    the mean over ranks that data-parallel training takes is the gradient of the whole.
    """
    mask = None if batch.mask is None else _over_ranks(batch.mask.to(torch.uint8), 1).bool()
    groups = None if batch.groups is None else _over_ranks(batch.groups)
    whole = replace(batch, index=_over_ranks(batch.index), groups=groups, mask=mask)
    return _over_ranks(student, 1), None if target is None else _over_ranks(target, 1), whole


def _over_ranks(values: Tensor, dim: int = 0) -> Tensor:
    if values.requires_grad:
        return torch.cat(all_gather(values.contiguous()), dim)
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts, dim)
