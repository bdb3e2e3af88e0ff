"""The dense prediction transformer's decoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.probes._pyramid import ChannelNorm, Norm, Shape, arranged, resized

DROPOUT = 0.1
"""Share of values dropped before the last layer in training."""


class DPT(nn.Module):
    """Levels reassembled on grids from fine to coarse, fused from coarse to fine, at last on twice the finest grid.

    Ranftl et al. 2021 (arXiv 2103.13413), section 3. Reassembling: layer norm of each cell (frozen levels differ in
    scale), a 1x1 convolution to `hidden`, scaling of levels on one grid by 4, 2, 1 and a half where `neck` says so,
    and a 3x3 convolution. Levels on one grid without the scaling: every fusion doubles the grid, as in torchgeo-bench.
    """

    def __init__(self, shapes: Sequence[Shape], num_classes: int, hidden: int, neck: bool) -> None:
        super().__init__()
        self.levels = arranged(shapes, neck)
        self.doubles = not neck and len({shape[1:] for shape in shapes}) == 1
        self.reassembled = nn.ModuleList(
            nn.Sequential(
                ChannelNorm(shapes[level][0]),
                nn.Conv2d(shapes[level][0], hidden, 1),
                _scaling(hidden, scale),
                nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            )
            for level, scale in self.levels
        )
        last = len(self.levels) - 1
        self.fusions = nn.ModuleList(Fusion(hidden, has_coarser=place < last) for place in range(last + 1))
        self.classifier = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            Norm(hidden),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Conv2d(hidden, num_classes, 1),
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits [B, K, h, w] of maps [B, C, h, w], one a level."""
        seen = [layer(maps[level]) for (level, _), layer in zip(self.levels, self.reassembled, strict=True)]
        path = seen[-1]
        for place in reversed(range(len(seen))):
            coarser = path if place < len(seen) - 1 else None
            doubled = (2 * path.shape[-2], 2 * path.shape[-1])
            size = doubled if self.doubles or not place else seen[place - 1].shape[-2:]
            path = self.fusions[place](seen[place], coarser, size)
        logits: Tensor = self.classifier(path)
        return logits


class Fusion(nn.Module):
    """One level joins what comes from the coarser ones; residual units before and after; then on to a finer grid."""

    def __init__(self, hidden: int, has_coarser: bool) -> None:
        super().__init__()
        self.level = Residual(hidden) if has_coarser else nn.Identity()
        self.joined = Residual(hidden)
        self.projection = nn.Conv2d(hidden, hidden, 1)

    def forward(self, level: Tensor, coarser: Tensor | None, size: Sequence[int]) -> Tensor:
        """[B, hidden, *size]."""
        path = level if coarser is None else coarser + resized(self.level(level), coarser.shape[-2:])
        projected: Tensor = self.projection(resized(self.joined(path), size))
        return projected


class Residual(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, around which the input goes."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, hidden, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        """[B, hidden, h, w] of the same shape."""
        added: Tensor = self.second(F.relu(self.first(F.relu(values))))
        return values + added


def _scaling(hidden: int, scale: float) -> nn.Module:
    if scale > 1:
        return nn.ConvTranspose2d(hidden, hidden, int(scale), int(scale))
    return nn.Identity() if scale == 1 else nn.Conv2d(hidden, hidden, 3, 2, padding=1)
