"""UPerNet's decoder, as PANGAEA sets it up."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deo_bench.probes._pyramid import Pyramid, Shape, convolution, resized, stacked, summed_down

POOLS = (1, 2, 3, 6)
"""Sides of the grids that the coarsest map is pooled to."""

DROPOUT = 0.1
"""Share of channels dropped before the last layer in training."""


class UPerNet(nn.Module):
    """Pooling pyramid on the coarsest map, FPN on all, a 3x3 convolution of all levels, a 1x1 convolution.

    Xiao et al. 2018 (arXiv 1807.10221), section 3.1, with pools 1, 2, 3, 6. `neck` makes a pyramid of levels on one
    grid. Convolutions have a bias beside their batch norm, as in PANGAEA.
    """

    def __init__(self, shapes: Sequence[Shape], num_classes: int, hidden: int, neck: bool) -> None:
        super().__init__()
        self.pyramid = Pyramid(shapes, neck)
        *finer, coarsest = self.pyramid.channels
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), convolution(coarsest, hidden, 1, bias=True)) for side in POOLS
        )
        self.pooled = convolution(coarsest + len(POOLS) * hidden, hidden, 3, bias=True)
        self.laterals = nn.ModuleList(convolution(channels, hidden, 1, bias=True) for channels in finer)
        self.refined = nn.ModuleList(convolution(hidden, hidden, 3, bias=True) for _ in finer)
        self.fused = convolution(hidden * (len(finer) + 1), hidden, 3, bias=True)
        self.classifier = nn.Sequential(nn.Dropout2d(DROPOUT), nn.Conv2d(hidden, num_classes, 1))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits [B, K, h, w] of maps [B, C, h, w], one a level."""
        *finer, coarsest = self.pyramid(maps)
        size = coarsest.shape[-2:]
        context = self.pooled(torch.cat([coarsest, *(resized(pool(coarsest), size) for pool in self.pools)], 1))
        seen = summed_down([*(layer(each) for layer, each in zip(self.laterals, finer, strict=True)), context])
        fine = [layer(each) for layer, each in zip(self.refined, seen[:-1], strict=True)]
        logits: Tensor = self.classifier(self.fused(stacked([*fine, context])))
        return logits
