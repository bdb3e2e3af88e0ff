"""Hadamard whitening."""

from __future__ import annotations

from torch import Tensor

from deo_bench.declarations import Positive
from deo_bench.targets import target
from deo_bench.targets._affine import Affine, raised
from deo_bench.targets._hadamard import hadamard


@target("hca", paper="https://arxiv.org/abs/2410.01680", needs_fit=True)
class Hca(Affine):
    """Whitened, then turned by a Hadamard matrix: every channel is an equal mixture of all principal components.

    t' = H Lambda^(-1/2) U^T (t - mu), with the covariance Sigma = U Lambda U^T (unbiased) and H orthogonal with entries
    +-1/sqrt(D). A student's error in any component is spread over all channels alike. Needs a width that has a Hadamard
    matrix (see `phi_s`). eps: eigenvalues below eps times their mean are raised to it; 1e-6.
    """

    def __init__(self, width: int, *, eps: Positive = 1e-6) -> None:
        super().__init__(width)
        self.eps = eps
        hadamard(width)  # a width that has none is refused before anything is fitted

    def matrix_of(self, values: Tensor, vectors: Tensor) -> Tensor:
        """H Lambda^(-1/2) U^T."""
        return hadamard(self.width) @ (raised(values, self.eps).rsqrt()[:, None] * vectors.T)
