"""Every row against every candidate, without a matrix that grows with both."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from deo_bench.losses._pairwise import unit

CELLS = 2**22
"""Numbers in one matrix of scores: 16 MiB in float32."""


def in_chunks(compute: Callable[..., Tensor], columns: int, *rows: Tensor) -> Tensor:
    """`compute(*rows)` -> [B], for rows [B, ...] taken a few at a time, so that chunk x columns stays under `CELLS`.

    Where there are several chunks, the backward pass computes each again instead of keeping its scores.
    """
    size = max(1, CELLS // max(1, columns))
    if size >= len(rows[0]):
        return compute(*rows)
    chunks = zip(*(values.split(size) for values in rows), strict=True)
    return torch.cat([checkpoint(compute, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks])


def cross_entropies(
    rows: Tensor, candidates: Tensor, right: Tensor, scale: Tensor | float, but: Tensor | None = None
) -> Tensor:
    """-log softmax(scale * rows candidates^T) at the right candidate of each row, [A] from [A, D], [C, D] and [A].

    but: [A] a candidate of each row that does not count.
    """

    def compute(some: Tensor, right: Tensor, but: Tensor | None = None) -> Tensor:
        logits = scale * (some @ candidates.T)
        if but is not None:
            logits = logits.scatter(1, but[:, None], -torch.inf)
        return F.cross_entropy(logits, right, reduction="none")

    return in_chunks(compute, len(candidates), rows, right, *([] if but is None else [but]))


def symmetric_infonce(student: Tensor, target: Tensor, scale: Tensor | float) -> Tensor:
    """1/2 [CE(rows) + CE(columns)] of scale * cos(s_i, t_j), the mean over the batch: a scalar from [B, D] each."""
    s, t = unit(student), unit(target)
    own = torch.arange(len(s), device=s.device)
    return (cross_entropies(s, t, own, scale).mean() + cross_entropies(t, s, own, scale).mean()) / 2


def held(value: Tensor, low: float, high: float) -> Tensor:
    """A learned number kept between two others, which finds its way back when a step has carried it out.

    Outside, a gradient that leads further out is dropped and one that leads back passes; a plain clamp would drop both,
    and the number would stay at the edge for good.
    """
    inside = value + (value.clamp(low, high) - value).detach()
    if inside.requires_grad:

        def only_back(gradient: Tensor) -> Tensor:
            further = ((value > high) & (gradient < 0)) | ((value < low) & (gradient > 0))
            return gradient.masked_fill(further, 0)

        inside.register_hook(only_back)
    return inside
