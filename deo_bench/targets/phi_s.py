"""PHI-S: one scale and a turn that gives every channel the same variance."""

from __future__ import annotations

from torch import Tensor

from deo_bench.targets import target
from deo_bench.targets._affine import Affine
from deo_bench.targets._hadamard import hadamard


@target("phi_s", paper="https://arxiv.org/abs/2410.01680", needs_fit=True)
class PhiS(Affine):
    """PCA-Hadamard isotropic standardisation: every channel has variance exactly 1, and distances keep their ratios.

    t' = alpha H U^T (t - mu), alpha = mean(lambda)^(-1/2), with the covariance Sigma = U Lambda U^T (unbiased) of the
    fitted features and H orthogonal with entries +-1/sqrt(D). A shift, a turn and one scale, so nothing is stretched
    and no direction of noise blown up; the paper's best on average. H is Sylvester's, Paley's (I: q + 1, II: 2 (q + 1),
    for prime powers q) or a Kronecker product of them; a width that has none is refused, where `zca` may be used.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        hadamard(width)  # a width that has none is refused before anything is fitted

    def matrix_of(self, values: Tensor, vectors: Tensor) -> Tensor:
        """alpha H U^T."""
        return values.mean().rsqrt() * hadamard(self.width) @ vectors.T
