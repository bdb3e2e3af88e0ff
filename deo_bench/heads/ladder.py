"""UNIC's ladder of projectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deo_bench.declarations import Count
from deo_bench.heads import Head, head


@head("ladder", paper="https://arxiv.org/abs/2408.05088", takes_levels=True)
class Ladder(Head):
    """A small MLP from every level and a larger one from the last, summed into the target's space, cell by cell.

    y = sum_l small_l(x_l) + large(x_L)

    Each is linear, GELU, linear, with `hidden` between in the small ones (768 in UNIC) and `last_hidden` in the large
    one (3072). `on` lists the levels, shallow to deep, and the head takes them together: UNIC has one of every block,
    so write them out (`block_0`, `block_1`, …). Levels of another grid come to that of the comparison first. Toward a
    frozen teacher or pixels `target_on` is one place (the last of `on` where none is said); toward what follows the
    student, as many as `on`, through the copied head. Weights start from a normal of 0.02 truncated at 2, biases from
    zero.
    """

    def __init__(
        self, in_widths: Sequence[int], out_width: int, *, hidden: Count = 768, last_hidden: Count = 3072
    ) -> None:
        super().__init__()
        self.in_width = sum(in_widths)
        self.out_width = out_width
        self.rungs = nn.ModuleList(_mlp(width, hidden, out_width) for width in in_widths)
        self.last = _mlp(in_widths[-1], last_hidden, out_width)

    def forward(self, features: Sequence[Tensor]) -> Tensor:  # type: ignore[override]
        """[B, P, *grid] from levels [B, D_l, *grid] of one grid."""
        levels = [level.movedim(1, -1) for level in features]
        rungs = [rung(level) for rung, level in zip(self.rungs, levels, strict=True)]
        return torch.stack([*rungs, self.last(levels[-1])]).sum(0).movedim(-1, 1)


def _mlp(in_width: int, hidden: int, out_width: int) -> nn.Sequential:
    first, last = nn.Linear(in_width, hidden), nn.Linear(hidden, out_width)
    for layer in (first, last):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.GELU(), last)
