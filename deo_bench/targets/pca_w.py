"""Whitening along the principal axes."""

from __future__ import annotations

from torch import Tensor

from deo_bench.declarations import Positive
from deo_bench.targets import target
from deo_bench.targets._affine import Affine, raised


@target("pca_w", paper="https://arxiv.org/abs/2410.01680", needs_fit=True)
class PcaWhitened(Affine):
    """Principal components, each over its standard deviation: the covariance becomes the identity.

    t' = Lambda^(-1/2) U^T (t - mu), with the covariance Sigma = U Lambda U^T (unbiased), components from the largest
    eigenvalue to the smallest, the sign of each such that its largest loading is positive. Every direction weighs the
    same, noise included. eps: eigenvalues below eps times their mean are raised to it, so that directions in which the
    fitted features do not vary (there are some where they are fewer than channels) are stretched no further; 1e-6.
    """

    def __init__(self, width: int, *, eps: Positive = 1e-6) -> None:
        super().__init__(width)
        self.eps = eps

    def matrix_of(self, values: Tensor, vectors: Tensor) -> Tensor:
        """Lambda^(-1/2) U^T."""
        return raised(values, self.eps).rsqrt()[:, None] * vectors.T
