"""Variational information distillation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.declarations import Positive
from deo_bench.losses import PairLoss, loss

LEAST = 1e-5


@loss("vid", paper="https://arxiv.org/abs/1904.05835", needs_widths=True)
class Vid(PairLoss):
    """Gaussian likelihood of the teacher's features, each channel's variance learned: what cannot be said costs less.

    L = mean over pairs of mean_b 1/2 mean_dx [(t_d^bx - mu_d^bx)^2 / sigma_d^2 + log sigma_d^2],
    sigma_d^2 = softplus(alpha_d) + 1e-5

    (Ahn et al. 2019, sec. 2, without its constant.) mu is the student through the term's head, in RepDistiller
    three 1 x 1 convolutions with ReLU between, which `mlp` is but for GELU. `alpha` [D] are the loss's own, trained
    with the heads; every variance starts at `initial`, 5 as in RepDistiller. It may be negative: at its least for given
    errors it is half of 1 + the mean log of their mean square a channel.
    """

    def __init__(self, student_width: int, target_width: int, *, initial: Positive = 5.0) -> None:
        super().__init__()
        if initial <= LEAST:
            raise ValueError(f"initial = {initial} has to be above {LEAST}, the least variance")
        start = initial - LEAST
        # The inverse of softplus, which for a large variance is nearly the variance itself.
        self.alpha = nn.Parameter(torch.full((target_width,), start + math.log(-math.expm1(-start))))

    def variance(self) -> Tensor:
        """sigma^2 [D]."""
        return F.softplus(self.alpha) + LEAST

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] each."""
        variance = self.variance().to(student).view(-1, *[1] * (student.ndim - 2))
        return ((target - student).square() / variance + variance.log()).flatten(1).mean(1) / 2
