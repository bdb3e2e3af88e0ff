"""Gradients of like size, adjusted to how fast each loss falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance, balance
from deo_bench.declarations import NonNegative, Positive


@balance("gradnorm", paper="https://arxiv.org/abs/1711.02257")
class GradNorm(Balance):
    """GradNorm (Chen et al.): factors that bring the terms' gradients on the student to the size each should have.

    sum_k w_k c_k L_k. With G_k = |gradient of w_k c_k L_k on the student|, its mean G over the terms, and r_k the rate
    of training L_k / L_k(0) over its mean over the terms, the c_k descend on sum_k |G_k - G r_k^alpha|, where only G_k
    depends on c_k; then they are scaled to the sum that they had (K). The factors are 1 at first.

    L_k / L_k(0) is computed as 1 + (L_k - L_k(0)) / |L_k(0)|, at least 0: the same for losses above zero, and falling
    for a loss that falls below zero, too. The step is taken in log c_k, lr times the slope over G (this project's own:
    so it does not depend on the losses' units, and no factor reaches zero). alpha: the restoring force; 1.5. lr: 0.025.
    Where a term's weight is 0 at a step, or a gradient is not finite, the factors concerned stay. Costs a backward
    pass through the student for each term.
    """

    factors: Tensor
    first: Tensor

    def __init__(
        self,
        terms: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        alpha: NonNegative = 1.5,
        lr: Positive = 0.025,
    ) -> None:
        super().__init__(terms)
        self.alpha, self.lr = alpha, lr
        self.register_buffer("factors", torch.ones(len(self.terms)))
        # NaN: not seen yet.
        self.register_buffer("first", torch.full((len(self.terms),), torch.nan))

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        """One backward pass of the sum; the factors step after it."""
        values, given = self.stacked(losses), self.as_weights(weights, self.factors)
        now = values.detach().to(self.first)
        self.first.copy_(torch.where(self.first.isnan(), now, self.first))
        active = (given != 0).nonzero().flatten()
        norms = given.clone()
        for index in active.tolist() if len(active) > 1 else ():
            norms[index] = given[index].abs() * self.gradient(values[index], shared).norm()
        total = (given.to(values) * self.factors.to(values) * values).sum()
        run_backward(total)
        if len(active) > 1 and bool(norms.isfinite().all()):
            self._step(norms[active], now[active], active)
        return total.detach()

    def _step(self, norms: Tensor, now: Tensor, active: Tensor) -> None:
        """Move the factors of the active terms [A], whose gradients have these norms [A] before their factors."""
        old, first = self.factors[active], self.first[active]
        sizes = old * norms
        mean = sizes.mean()
        if mean <= 0:
            return
        left = (1 + (now - first) / first.abs().clamp_min(1e-8)).clamp_min(0)
        rates = left / left.mean().clamp_min(1e-8)
        slope = (sizes - mean * rates**self.alpha).sign() * sizes / mean
        new = old * (-self.lr * slope).exp()
        self.factors[active] = new * (old.sum() / new.sum())
