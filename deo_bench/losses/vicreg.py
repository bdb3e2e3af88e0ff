"""Variance, invariance and covariance of VICReg."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import NonNegative, Positive
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import need


@loss("vicreg", paper="https://arxiv.org/abs/2105.04906", takes="pooled", crops="global", spans_batch=True)
class VICReg(PairLoss):
    """Views agree, every channel varies, and no two channels say the same: without negatives (VICReg).

    L = mean over pairs of  lambda mean (s - t)^2 + mu/2 [v(s) + v(t)] + nu [c(s) + c(t)]
    v(z) = mean_d max(0, 1 - sqrt(Var z_d + eps)),    c(z) = 1/D sum_{d != e} Cov(z)_de^2

    Bardes et al., 2022, eq. 1 to 6, with the halves of v as in the authors' code; variances and covariances are
    unbiased, over the batch of all ranks, of vectors [B, D] as they are (not normalised). A target without gradients
    adds v(t) and c(t) as constants. Channels that do not vary give v = 1 - sqrt(eps) = 0.99.

    invariance, variance, covariance: lambda, mu and nu; eps: keeps the root's slope finite.

    It says little where the batch has fewer than 64 images, and nothing below 2: state the batch with the result.
    """

    def __init__(
        self,
        *,
        invariance: NonNegative = 25.0,
        variance: NonNegative = 25.0,
        covariance: NonNegative = 1.0,
        eps: Positive = 1e-4,
    ) -> None:
        super().__init__()
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance
        self.eps = eps

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D] each, B at least 2 (a UserError otherwise)."""
        need(len(student), 2, "vicreg")
        spread = (self._spread(student) + self._spread(target)) / 2
        shared = _shared(student) + _shared(target)
        invariance = F.mse_loss(student, target)
        return self.invariance * invariance + self.variance * spread + self.covariance * shared

    def _spread(self, rows: Tensor) -> Tensor:
        return F.relu(1 - (rows.var(0) + self.eps).sqrt()).mean()


def _shared(rows: Tensor) -> Tensor:
    """The squared covariances of different channels, 1/D of their sum."""
    centred = rows - rows.mean(0)
    covariance = centred.T @ centred / (len(rows) - 1)
    own = torch.eye(len(covariance), dtype=torch.bool, device=rows.device)
    return covariance.masked_fill(own, 0).square().sum() / len(covariance)
