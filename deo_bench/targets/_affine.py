"""A shift and a matrix, fitted from the covariance: what the whitenings and PHI-S are."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from deo_bench.features import at_least_float32
from deo_bench.targets import Target
from deo_bench.targets._moments import covariance


class Affine(Target):
    """y' = W (y - mu), with W [D, D] made of the covariance's eigenvalues and eigenvectors by `matrix_of`.

    Both live in buffers of float64, so that `inverse` is one. NaN until fitted, so that nothing can be trained on it
    by oversight.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.full((width,), torch.nan).double())
        self.register_buffer("matrix", torch.full((width, width), torch.nan).double())

    def fit(self, features: Iterable[Tensor]) -> None:
        """Mean and covariance of chunks [n, D], then W."""
        mean, joint = covariance(features, self.width)
        values, vectors = torch.linalg.eigh(joint)
        # eigh orders from small to large, and gives rounding below zero; a sign of its choice is fixed here.
        values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
        largest = vectors.abs().argmax(0, keepdim=True)
        self.mean.copy_(mean)
        # What float32 cannot tell from constant features has no directions of its own.
        if values.mean().sqrt() <= 1e-6 * mean.abs().mean() + 1e-12:
            values, vectors = torch.ones_like(values), torch.eye(self.width).double()
        else:
            vectors = vectors * vectors.gather(0, largest).sign()
        self.matrix.copy_(self.matrix_of(values, vectors))

    def matrix_of(self, values: Tensor, vectors: Tensor) -> Tensor:
        """W [D, D] from eigenvalues [D], large to small, and eigenvectors [D, D] in columns, both in float64."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """[B, D, *grid], of the features' type; computed in at least float32, outside autocast."""
        return self._rows(features, lambda rows: (rows - self.mean.to(rows)) @ self.matrix.to(rows).T)

    def inverse(self, features: Tensor) -> Tensor:
        """The features that `forward` made these of, [B, D, *grid]."""
        return self._rows(features, lambda rows: rows @ torch.linalg.inv(self.matrix).to(rows).T + self.mean.to(rows))

    @staticmethod
    def _rows(features: Tensor, move: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            wide = at_least_float32(features)
            return move(wide.movedim(1, -1)).movedim(-1, 1).to(features.dtype)


def raised(values: Tensor, eps: float) -> Tensor:
    """Eigenvalues [D], those below eps times their mean raised to it: fewer features than channels leave zeros."""
    return values.clamp_min(eps * float(values.mean()))
