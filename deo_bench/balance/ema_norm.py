"""Losses over their own running size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance, balance
from deo_bench.declarations import Fraction, Positive


@balance("ema_norm")
class EmaNorm(Balance):
    """Each term over the running mean of its size, so that its weight is its share: sum_k w_k L_k / e_k.

    e_k <- m e_k + (1 - m) |L_k|, beginning with the first |L_k|, the present step included, and without a gradient.
    Sizes, since a loss may be negative (minus a cosine) and must not be turned around. momentum: m; 0.99. floor: the
    least e_k, for losses that reach zero; 1e-8.
    """

    sizes: Tensor

    def __init__(
        self,
        terms: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        momentum: Fraction = 0.99,
        floor: Positive = 1e-8,
    ) -> None:
        super().__init__(terms)
        self.momentum, self.floor = momentum, floor
        # NaN: not seen yet.
        self.register_buffer("sizes", torch.full((len(self.terms),), torch.nan))

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        """One backward pass of the sum of the terms over their sizes."""
        values = self.stacked(losses)
        now = values.detach().abs()
        old = torch.where(self.sizes.isnan(), now, self.sizes.to(now))
        self.sizes.copy_(self.momentum * old + (1 - self.momentum) * now)
        total = (self.as_weights(weights, values) * values / self.sizes.to(now).clamp_min(self.floor)).sum()
        run_backward(total)
        return total.detach()
