"""Frozen maps as a probe for dense tasks sees them: a role's images level by level, with labels where it may look."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

Logits = Callable[[Sequence[Tensor]], Tensor]
"""Of a batch of maps [B, dates, C, h, w], one a level: logits [B, K, h', w'] at whatever resolution they come."""


class MapSource(ABC):
    """Maps of one role's images; the engine implements it, from a cache or by encoding again.

    shapes: (C, h, w) of each level's maps, shallow to deep; size: (H, W) of the label maps; dates: 1, or 2 of pairs of
    images; device: where maps come.
    """

    shapes: tuple[tuple[int, int, int], ...]
    size: tuple[int, int]
    dates: int
    device: torch.device

    @abstractmethod
    def __len__(self) -> int:
        """How many images the role has."""

    @abstractmethod
    def batch(self, places: np.ndarray, generator: torch.Generator | None = None) -> tuple[list[Tensor], Tensor | None]:
        """Maps [B, dates, C, h, w] of each level, float32, and labels [B, H, W], int64 (none of the report role).

        Under a protocol with a window what comes is a crop of the images, drawn from the generator (from the middle
        without one), and the labels are cropped alike; else the generator plays no part.
        """

    @abstractmethod
    def whole_labels(self, places: np.ndarray) -> Tensor | None:
        """Labels [B, H, W], int64, of whole images, also under a window (none of the report role); no map is made."""

    @abstractmethod
    def predicted(self, logits: Logits) -> Iterator[np.ndarray]:
        """Classes [b, H, W] of every image in order, a batch at a time.

        Logits are brought to the labels' size (bilinear); under a window, their probabilities are averaged over
        windows that overlap by half.
        """
