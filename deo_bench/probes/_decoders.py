"""Decoders of frozen maps: from a batch of maps, one a level, to logits of classes on the finest of their grids."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deo_bench.errors import unknown
from deo_bench.probes._dpt import DPT
from deo_bench.probes._pyramid import Norm, Pyramid, Shape, convolution, resized, stacked, summed_down
from deo_bench.probes._upernet import UPerNet

HIDDEN = {"linear": 0, "conv": 256, "fpn": 256, "upernet": 512, "dpt": 256}
"""Decoders by name, and how wide each is unless told otherwise."""


class Linear(nn.Module):
    """Batch norm and a 1x1 convolution a level; the levels' logits are added up on the finest grid.

    That is one linear layer on all levels side by side (DINOv3's linear probe for segmentation; torchgeo-bench's,
    without the factor that it learns for each level).
    """

    def __init__(self, shapes: Sequence[Shape], num_classes: int) -> None:
        super().__init__()
        self.pyramid = Pyramid(shapes, scaled=False)
        self.levels = nn.ModuleList(
            nn.Sequential(Norm(channels), nn.Conv2d(channels, num_classes, 1)) for channels in self.pyramid.channels
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits [B, K, h, w] of maps [B, C, h, w], one a level."""
        logits = [layer(each) for layer, each in zip(self.levels, self.pyramid(maps), strict=True)]
        return torch.stack([resized(each, logits[0].shape[-2:]) for each in logits]).sum(0)


class Conv(nn.Module):
    """Each level through a 1x1 convolution, batch norm and SiLU; side by side on the finest grid; a 1x1 convolution.

    (torchgeo-bench's `conv_block`.)
    """

    def __init__(self, shapes: Sequence[Shape], num_classes: int, hidden: int) -> None:
        super().__init__()
        self.pyramid = Pyramid(shapes, scaled=False)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=False), Norm(hidden), nn.SiLU())
            for channels in self.pyramid.channels
        )
        self.classifier = nn.Conv2d(hidden * len(self.levels), num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits [B, K, h, w] of maps [B, C, h, w], one a level."""
        seen = [layer(each) for layer, each in zip(self.levels, self.pyramid(maps), strict=True)]
        logits: Tensor = self.classifier(stacked(seen))
        return logits


class FPN(nn.Module):
    """Feature pyramid (Lin et al. 2017, arXiv 1612.03144): 1x1 convolutions, added up from coarse to fine, then 3x3.

    The levels are then put side by side on the finest grid for a 1x1 convolution; batch norm before and within, as in
    torchgeo-bench. `neck` makes a pyramid of levels on one grid.
    """

    def __init__(self, shapes: Sequence[Shape], num_classes: int, hidden: int, neck: bool) -> None:
        super().__init__()
        self.pyramid = Pyramid(shapes, neck)
        self.laterals = nn.ModuleList(
            nn.Sequential(Norm(channels), nn.Conv2d(channels, hidden, 1, bias=False))
            for channels in self.pyramid.channels
        )
        self.refined = nn.ModuleList(convolution(hidden, hidden, 3) for _ in self.laterals)
        self.classifier = nn.Conv2d(hidden * len(self.laterals), num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits [B, K, h, w] of maps [B, C, h, w], one a level."""
        seen = summed_down([layer(each) for layer, each in zip(self.laterals, self.pyramid(maps), strict=True)])
        logits: Tensor = self.classifier(stacked([layer(each) for layer, each in zip(self.refined, seen, strict=True)]))
        return logits


def decoder(name: str, shapes: Sequence[Shape], num_classes: int, hidden: int | None, neck: bool) -> nn.Module:
    """A decoder by name for levels of these shapes, shallow to deep, with freshly drawn weights."""
    if name not in HIDDEN:
        raise unknown("head", name, HIDDEN)
    hidden = hidden or HIDDEN[name]
    if name == "linear":
        return Linear(shapes, num_classes)
    if name == "conv":
        return Conv(shapes, num_classes, hidden)
    kinds = {"fpn": FPN, "upernet": UPerNet, "dpt": DPT}
    return kinds[name](shapes, num_classes, hidden, neck)
