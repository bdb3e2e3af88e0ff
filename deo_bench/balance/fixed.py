"""Fixed weights, which may be schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance, balance


@balance("fixed")
class Fixed(Balance):
    """The sum of the terms, each times its weight: sum_k w_k L_k.

    Weights that change over training need no balance of their own: a term's weight may be a schedule, as in
    `weight = { start = 0.0, end = 1.0, shape = "linear", warmup = 100 }`, here and in every other balance.
    """

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        """One backward pass of the weighted sum."""
        total = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        run_backward(total)
        return total.detach()
