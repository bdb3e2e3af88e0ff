"""Maps held in memory, as a probe on maps is handed them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.probes.maps import Logits, MapSource


class HeldMaps(MapSource):
    """Levels [N, dates, C, h, w] with labels [N, H, W]; notes what was asked of it."""

    def __init__(self, levels: Sequence[Tensor], labels: Tensor) -> None:
        self.levels, self.labels = list(levels), labels
        self.shapes = tuple((each.shape[2], each.shape[3], each.shape[4]) for each in levels)
        self.size = (labels.shape[1], labels.shape[2])
        self.dates, self.device = levels[0].shape[1], torch.device("cpu")
        self.asked: list[list[int]] = []
        self.drawn: list[float] = []

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, places: np.ndarray, generator: torch.Generator | None = None) -> tuple[list[Tensor], Tensor | None]:
        self.asked.append(places.tolist())
        if generator is not None:
            self.drawn.append(float(torch.rand((), generator=generator)))
        return [each[places] for each in self.levels], self.labels[places]

    def whole_labels(self, places: np.ndarray) -> Tensor | None:
        return self.labels[places]

    def predicted(self, logits: Logits) -> Iterator[np.ndarray]:
        for at in range(0, len(self), 7):
            said = logits([each[at : at + 7] for each in self.levels])
            yield F.interpolate(said, size=self.size, mode="bilinear", align_corners=False).argmax(1).numpy()


def separable(seed: int, num: int = 16, side: int = 6, classes: int = 3, levels: int = 4, dates: int = 1) -> HeldMaps:
    """Maps [N, dates, 5, side, side] of which the class of each cell is a linear function (of the last date)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (num, side, side), generator=generator)
    clean = F.embedding(labels, 3 * torch.eye(classes, 5)).movedim(-1, 1)
    shape = (num, dates, 5, side, side)
    maps = [0.3 * torch.randn(shape, generator=generator) for _ in range(levels)]
    for each in maps:
        each[:, -1] += clean
    return HeldMaps(maps, labels)
