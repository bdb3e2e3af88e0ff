"""DINO's projection head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.declarations import Count
from deo_bench.heads import Head, head


@head("prototypes", paper="https://arxiv.org/abs/2104.14294")
class Prototypes(Head):
    """Cosines to K prototypes, of what three linear layers with GELU between them make of the features, cell by cell.

    `width` in the head's table is K: 65536 in DINO and DINOv2. `hidden` is the width of the two layers between,
    `bottleneck` that of the prototypes. What the layers give is scaled to length 1, and so is each prototype (DINO's
    weight-normed last layer without bias, its norms fixed at 1): logits lie in [-1, 1], and the losses `dino` and
    `ibot` bring the temperatures. Weights start from a truncated normal of std 0.02, biases from zero, prototypes from
    U(-1, 1) / sqrt(bottleneck). Left out: DINO does not move the prototypes in the first epoch.
    """

    def __init__(self, in_width: int, out_width: int, *, hidden: Count = 2048, bottleneck: Count = 256) -> None:
        super().__init__()
        self.in_width = in_width
        self.out_width = out_width
        first, second, last = nn.Linear(in_width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, bottleneck)
        for layer in (first, second, last):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.layers = nn.Sequential(first, nn.GELU(), second, nn.GELU(), last)
        bound = bottleneck**-0.5
        self.prototypes = nn.Parameter(torch.empty(out_width, bottleneck).uniform_(-bound, bound))

    def forward(self, features: Tensor) -> Tensor:
        """[B, K, *grid] from [B, D, *grid]."""
        cells = F.normalize(self.layers(features.movedim(1, -1)), dim=-1)
        return F.linear(cells, F.normalize(self.prototypes, dim=1)).movedim(-1, 1)
