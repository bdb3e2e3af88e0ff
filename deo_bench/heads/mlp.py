"""Multi-layer perceptron."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.declarations import Count
from deo_bench.heads import Head, head


@head("mlp", paper="https://arxiv.org/abs/2602.19863")
class Mlp(Head):
    """Three linear layers with GELU between them, cell by cell: every head of DEO.

    `hidden` is the width between. DEO normalises the output to length 1; here `normalise` is false by default, since
    losses that compare directions normalise by themselves, and `mse` on standardised targets could never reach them
    from the unit sphere. Weights start from a truncated normal of std 0.02, biases from zero.
    """

    def __init__(self, in_width: int, out_width: int, *, hidden: Count = 2048, normalise: bool = False) -> None:
        super().__init__()
        self.in_width = in_width
        self.out_width = out_width
        self.normalise = normalise
        first, second, last = nn.Linear(in_width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, out_width)
        for layer in (first, second, last):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.layers = nn.Sequential(first, nn.GELU(), second, nn.GELU(), last)

    def forward(self, features: Tensor) -> Tensor:
        """[B, P, *grid] from [B, D, *grid]."""
        cells = self.layers(features.movedim(1, -1))
        return (F.normalize(cells, dim=-1) if self.normalise else cells).movedim(-1, 1)
