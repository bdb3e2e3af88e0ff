"""Dynamic weight averaging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance, balance
from deo_bench.declarations import Count, Positive


@balance("dwa", paper="https://arxiv.org/abs/1803.10704")
class Dwa(Balance):
    """Dynamic weight averaging (Liu, Johns and Davison): a term that falls more slowly than others weighs more.

    sum_k w_k c_k L_k, c_k = K softmax_k(r_k / T), r_k = L_k(t - 1) / L_k(t - 2), and c_k = 1 in the first two periods.
    r_k is computed as 1 + (L_k(t - 1) - L_k(t - 2)) / |L_k(t - 2)|: the same for losses above zero, and below 1 for one
    that falls below zero, too. temperature: T; 2. every: the steps of a period, over which a loss is averaged (the
    paper's is an epoch); 1. A term whose weight is 0 at a step counts among the K nevertheless.
    """

    before: Tensor
    summed: Tensor
    steps: Tensor

    def __init__(
        self,
        terms: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        temperature: Positive = 2.0,
        every: Count = 1,
    ) -> None:
        super().__init__(terms)
        self.temperature, self.every = temperature, every
        # The means of the period before last and of the last one; NaN: there was none yet.
        self.register_buffer("before", torch.full((2, len(self.terms)), torch.nan))
        self.register_buffer("summed", torch.zeros(len(self.terms)))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def factors(self) -> Tensor:
        """c [K] of this period."""
        old, new = self.before
        if bool(old.isnan().any()):
            return torch.ones_like(new)
        rates = 1 + (new - old) / old.abs().clamp_min(1e-8)
        return len(self.terms) * (rates / self.temperature).softmax(0)

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        """One backward pass of the sum; then the losses are remembered."""
        values = self.stacked(losses)
        total = (self.as_weights(weights, values) * self.factors().to(values) * values).sum()
        run_backward(total)
        self.summed += values.detach().to(self.summed)
        self.steps += 1
        if int(self.steps) == self.every:
            self.before.copy_(torch.stack([self.before[1], self.summed / self.every]))
            self.summed.zero_()
            self.steps.zero_()
        return total.detach()
