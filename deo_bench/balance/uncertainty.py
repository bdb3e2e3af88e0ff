"""Weights learned from the losses' own uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance, balance
from deo_bench.errors import UserError

BELOW = -1e-4
"""The rounding of a loss that is zero."""


@balance("uncertainty", paper="https://arxiv.org/abs/1705.07115")
class Uncertainty(Balance):
    """Homoscedastic uncertainty (Kendall, Gal and Cipolla): sum_k w_k (exp(-a_k) L_k + a_k), with learned a_k.

    a_k is the logarithm of a term's variance, 0 at first and trained with everything else; where it has settled,
    exp(-a_k) = 1 / L_k. A term's own weight w_k stands outside, and so still says how much it counts. Only for losses
    that are not below zero: for others (`compression`, `coding_rate`) the sum has no minimum, and the run is refused
    at its first step.
    """

    def __init__(self, terms: Sequence[str] | Mapping[str, Sequence[str]]) -> None:
        super().__init__(terms)
        self.log_variances = nn.Parameter(torch.zeros(len(self.terms)))

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        """One backward pass of the sum, which reaches the a_k, too."""
        values = self.stacked(losses)
        for name, value in zip(self.terms, values.tolist(), strict=True):
            if value < BELOW and weights[name]:
                raise UserError(
                    f"balance 'uncertainty': objective.{name} is {value:.3g}, and it weighs only losses that are not "
                    "below zero; use fixed, ema_norm, dwa or gradnorm, or another loss"
                )
        a = self.log_variances.to(values)
        total = (self.as_weights(weights, values) * ((-a).exp() * values + a)).sum()
        run_backward(total)
        return total.detach()
