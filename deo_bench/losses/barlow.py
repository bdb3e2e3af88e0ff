"""Cross-correlation of Barlow Twins."""

from __future__ import annotations

import torch
from torch import Tensor

from deo_bench.declarations import NonNegative
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import need

EPS = 1e-5


@loss("barlow", paper="https://arxiv.org/abs/2103.03230", takes="pooled", crops="global", spans_batch=True)
class BarlowTwins(PairLoss):
    """Channels of two views correlate each with itself and with no other (Barlow Twins).

    L = mean over pairs of sum_d (1 - C_dd)^2 + lambda sum_{d != e} C_de^2,    C = 1/B norm(s)^T norm(t)

    Zbontar et al., 2021, eq. 1 and 2. norm takes each channel of [B, D] to mean 0 and variance 1 over the batch of all
    ranks, by the biased variance plus 1e-5, as the authors' batch normalisation does: channels that spread by far less
    than 0.003 count as constant. Scale and shift of a channel do not matter. The authors scale the whole by 0.024.

    redundancy: lambda.

    It says little where the batch has fewer than 64 images, and nothing below 2: state the batch with the result.
    """

    def __init__(self, *, redundancy: NonNegative = 5e-3) -> None:
        super().__init__()
        self.redundancy = redundancy

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D] each, B at least 2 (a UserError otherwise)."""
        need(len(student), 2, "barlow")
        correlation = _standardised(student).T @ _standardised(target) / len(student)
        own = torch.eye(len(correlation), dtype=torch.bool, device=correlation.device)
        others = correlation.masked_fill(own, 0).square().sum()
        return (1 - correlation.diagonal()).square().sum() + self.redundancy * others


def _standardised(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(0)
    return centred / (centred.square().mean(0) + EPS).sqrt()
