"""Whitening that stays close to the features' own channels."""

from __future__ import annotations

from torch import Tensor

from deo_bench.declarations import Positive
from deo_bench.targets import target
from deo_bench.targets._affine import Affine, raised


@target("zca", paper="https://arxiv.org/abs/1512.00809", needs_fit=True)
class Zca(Affine):
    """Whitened and turned back: of all whitenings the one nearest to the features.

    t' = U Lambda^(-1/2) U^T (t - mu), with the covariance Sigma = U Lambda U^T (unbiased); the matrix is symmetric, and
    any width has one. eps: eigenvalues below eps times their mean are raised to it; 1e-6.
    """

    def __init__(self, width: int, *, eps: Positive = 1e-6) -> None:
        super().__init__(width)
        self.eps = eps

    def matrix_of(self, values: Tensor, vectors: Tensor) -> Tensor:
        """U Lambda^(-1/2) U^T."""
        return (vectors * raised(values, self.eps).rsqrt()) @ vectors.T
