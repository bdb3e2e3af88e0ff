"""What decoders are made of: maps from fine to coarse, whatever backbone they come from, and layers between them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shape = tuple[int, int, int]
"""(C, h, w) of one level's maps."""

SCALES = (4.0, 2.0, 1.0, 0.5)
"""Of a plain backbone's one grid, shallow to deep (PANGAEA's and mmsegmentation's neck)."""


class Norm(nn.BatchNorm2d):
    """Batch norm that takes a batch of one value a channel, too: that has no spread, so the running one stands in.

    (The coarsest pool of a pyramid at a batch of one image is such a batch; torch refuses it.)
    """

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, h, w] of the same shape."""
        if values.numel() > values.shape[1]:
            return super().forward(values)
        return F.batch_norm(values, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class ChannelNorm(nn.LayerNorm):
    """Layer norm of each cell's channels [B, C, h, w], as within a vision transformer."""

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, h, w] of the same shape."""
        return super().forward(values.movedim(1, -1)).movedim(-1, 1)


def convolution(channels: int, hidden: int, side: int, bias: bool = False) -> nn.Sequential:
    """A convolution that keeps the grid, batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(channels, hidden, side, padding=side // 2, bias=bias), Norm(hidden), nn.ReLU())


def resized(values: Tensor, size: Sequence[int]) -> Tensor:
    """Maps [B, C, h, w] on another grid, bilinear."""
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False)


def arranged(shapes: Sequence[Shape], scaled: bool) -> list[tuple[int, float]]:
    """Levels from fine to coarse, each as its place among `shapes` (shallow to deep) and the scale it is brought to.

    Levels on grids of their own are put in the order of their grids, at scale 1. Levels on one grid (of a plain vision
    transformer) are scaled by 4, 2, 1 and a half, shallow to deep, where `scaled` says so; a single level is scaled to
    all four (Li et al. 2022, arXiv 2203.16527), of other numbers each has the scale at its share of the depth
    (PANGAEA).
    """
    order = sorted(range(len(shapes)), key=lambda level: -shapes[level][1] * shapes[level][2])
    if not scaled or len({shape[1:] for shape in shapes}) > 1:
        return [(level, 1.0) for level in order]
    order = order if len(order) > 1 else order * len(SCALES)
    return [(level, SCALES[place * len(SCALES) // len(order)]) for place, level in enumerate(order)]


class Pyramid(nn.Module):
    """Levels as maps of falling resolution, fine to coarse (`arranged`); `channels` says how wide each is."""

    def __init__(self, shapes: Sequence[Shape], scaled: bool) -> None:
        super().__init__()
        self.levels = arranged(shapes, scaled)
        self.channels = [shapes[level][0] for level, _ in self.levels]
        self.scalings = nn.ModuleList(_scaling(shapes[level][0], scale) for level, scale in self.levels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps [B, C, h, w], one a level, fine to coarse."""
        return [scale(maps[level]) for (level, _), scale in zip(self.levels, self.scalings, strict=True)]


def _scaling(channels: int, scale: float) -> nn.Module:
    if scale == 4:
        twice = (nn.ConvTranspose2d(channels, channels, 2, 2) for _ in range(2))
        return nn.Sequential(next(twice), Norm(channels), nn.GELU(), next(twice))
    if scale == 2:
        return nn.ConvTranspose2d(channels, channels, 2, 2)
    return nn.Identity() if scale == 1 else nn.MaxPool2d(2, 2, ceil_mode=True)


def summed_down(maps: Sequence[Tensor]) -> list[Tensor]:
    """Maps of one width, fine to coarse, each with all coarser ones added on its grid (FPN's top-down path)."""
    found = [maps[-1]]
    for finer in reversed(maps[:-1]):
        found.append(finer + resized(found[-1], finer.shape[-2:]))
    return found[::-1]


def stacked(maps: Sequence[Tensor]) -> Tensor:
    """Maps on the grid of the first, side by side in channels."""
    return torch.cat([resized(each, maps[0].shape[-2:]) for each in maps], 1)
