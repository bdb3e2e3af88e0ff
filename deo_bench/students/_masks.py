"""Masked cells: tokens that a student must do without are replaced by its mask token."""

from __future__ import annotations

from torch import Tensor

from deo_bench.errors import UserError


def replace_masked(tokens: Tensor, mask: Tensor | None, token: Tensor) -> Tensor:
    """Tokens [B, h, w, D] with those of masked cells replaced by one token [D].

    mask: [B, h', w'], true where a cell is masked, on the tokens' grid or on a coarser one that divides it.
    """
    if mask is None:
        return tokens
    height, width = tokens.shape[1:3]
    rows, columns = height // mask.shape[1], width // mask.shape[2]
    if (mask.shape[1] * rows, mask.shape[2] * columns) != (height, width):
        raise UserError(f"a mask of {tuple(mask.shape[1:])} cells does not fit a grid of {height} x {width} tokens")
    cells = mask.bool().repeat_interleave(rows, 1).repeat_interleave(columns, 2)
    return token.to(tokens.dtype).where(cells[..., None], tokens)


def over_pixels(pixels: Tensor, mask: Tensor | None) -> Tensor:
    """Normalised pixels [B, C, H, W] with those of masked cells [B, h, w] at zero, which is their mean."""
    if mask is None:
        return pixels
    height, width = pixels.shape[-2:]
    cells = mask.bool().repeat_interleave(height // mask.shape[1], 1).repeat_interleave(width // mask.shape[2], 2)
    return pixels.masked_fill(cells[:, None], 0.0)
