"""Features read a block of rows at a time, from one array or several, scaled on the way: they may be memory-mapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

BLOCK = 16_384
"""Rows of features read in one go."""


class Rows:
    """Arrays [N, D] one below the other, less `shift` [D] and divided by `scale` [D]: nothing of them is copied whole.

    `rows[a:b]` is an array [b - a, D]; shape, dtype and len are those of the whole.
    """

    def __init__(
        self, parts: Sequence[np.ndarray], shift: np.ndarray | None = None, scale: np.ndarray | None = None
    ) -> None:
        self.parts, self.shift, self.scale = list(parts), shift, scale
        self.shape = (sum(len(part) for part in parts), parts[0].shape[1])
        self.dtype = np.result_type(*parts, *(each for each in (shift, scale) if each is not None))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.shape[0] * self.shape[1]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        found, begins = [], 0
        for part in self.parts:
            here = part[max(start - begins, 0) : max(stop - begins, 0)]
            found.append(here)
            begins += len(part)
        block = np.concatenate(found).astype(self.dtype, copy=False)
        if self.shift is not None:
            block = block - self.shift
        return block if self.scale is None else block / self.scale

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Where each block begins, and its rows, a copy."""
        for at in range(0, len(self), BLOCK):
            yield at, self[at : at + BLOCK]

    def mean(self) -> np.ndarray:
        """Mean [D] in float64."""
        return np.asarray(sum(block.sum(0, dtype=np.float64) for _, block in self.blocks()) / len(self))

    def own_scale(self) -> np.ndarray:
        """What each feature [D] is divided by to be of spread 1; one that does not vary, next to its size, by 1."""
        spread = self.spread()
        return np.where(spread <= 1e-6 * np.abs(self.mean()), 1.0, spread)

    def spread(self) -> np.ndarray:
        """Standard deviation [D] in float64."""
        centre = self.mean()
        return np.sqrt(sum(np.square(block - centre).sum(0) for _, block in self.blocks()) / len(self))
