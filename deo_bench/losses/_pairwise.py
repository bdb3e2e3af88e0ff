"""Relations between all rows of a batch, or all cells of a map, block by block: no whole table of them is ever kept."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from deo_bench.errors import UserError

BLOCK = 2**21
"""Relations in one block: 8 MiB in float32. Tables that fit are one block, without recomputation."""


def unit(rows: Tensor, dim: int = -1) -> Tensor:
    """Rows of length 1 along a dimension, however short they were; a row of zeros stays, and passes its gradient on."""
    lengths = rows.norm(dim=dim, keepdim=True)
    return rows / torch.where(lengths > 0, lengths, 1.0)


def cells(maps: Tensor) -> Tensor:
    """Maps [B, D, *grid] as their cells, [B, N, D]."""
    return maps.flatten(2).transpose(1, 2)


def distances(rows: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances [R, B] of [R, D] to [B, D].

    From differences, in O(R B) memory: products would lose what is small against the rows' own length. The gradient of
    a distance of 0 is 0.
    """
    return torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")


def need(images: int, least: int, name: str) -> None:
    """Refuse a batch that is too small to have relations."""
    if images < least:
        raise UserError(
            f"loss {name!r}: relates the images of a batch, and needs {least} of them, got {images}; raise train.batch"
        )


def over_rows(block: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], student: Tensor, target: Tensor) -> Tensor:
    """The sum over row blocks of `block(student[rows], target[rows], student, target)`, a scalar each.

    Where there are several, a block's table is made again for the backward pass instead of being kept.
    """
    step = max(1, BLOCK // len(student))
    if step >= len(student):
        return block(student, target, student, target)
    parts = [
        _again(block, student[first : first + step], target[first : first + step], student, target)
        for first in range(0, len(student), step)
    ]
    return torch.stack(parts).sum()


def over_images(block: Callable[[Tensor, Tensor], Tensor], student: Tensor, target: Tensor, entries: int) -> Tensor:
    """`block(student, target)`, one value an image [B], of [B, ...] each; `entries` is the size of an image's table."""
    step = max(1, BLOCK // entries)
    if step >= len(student):
        return block(student, target)
    parts = [
        _again(block, student[first : first + step], target[first : first + step])
        for first in range(0, len(student), step)
    ]
    return torch.cat(parts)


def _again(block: Callable[..., Tensor], *given: Tensor) -> Tensor:
    value: Tensor = checkpoint(block, *given, use_reentrant=False, preserve_rng_state=False)
    return value
