"""Means over the cells of a map that the student was not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from deo_bench.errors import UserError

if TYPE_CHECKING:
    from deo_bench.losses import Batch


def mask_of(batch: Batch, maps: Tensor, name: str) -> Tensor:
    """The batch's mask [V, B, *grid], on the grid of maps [V, B, D, *grid] or a UserError of the loss `name`."""
    assert batch.mask is not None, f"{name} needs a mask"
    mine, theirs = tuple(batch.mask.shape[2:]), tuple(maps.shape[3:])
    if mine != theirs:
        raise UserError(
            f"{name}: cells are masked on a grid of {_shown(mine)} and compared on one of {_shown(theirs)}; on = a "
            'level on the grid of the patches (any of a ViT), and grid = "student" where the target has another'
        )
    return batch.mask.bool()


def cells_of(maps: Tensor, mask: Tensor) -> Tensor:
    """The vectors [N, D] of the masked cells of maps [B, D, *grid], image by image."""
    return maps.movedim(1, -1)[mask]


def mean_over_masked(values: Tensor, mask: Tensor) -> Tensor:
    """The mean [B] over each image's masked cells, of values on all cells [B, *grid] or on the masked ones [N].

    0 for an image without masked cells.
    """
    if values.ndim == 1:
        values = values.new_zeros(mask.shape).masked_scatter(mask, values)
    kept = values.masked_fill(~mask, 0).flatten(1).sum(1)
    return kept / mask.flatten(1).sum(1).clamp(min=1)


def _shown(grid: tuple[int, ...]) -> str:
    return " x ".join(map(str, grid))
