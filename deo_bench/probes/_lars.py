"""Layer-wise adaptive rate scaling: steps of every layer are as long as its weights allow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Lars(torch.optim.Optimizer):
    """LARS (You, Gitman and Ginsburg, 2017, https://arxiv.org/abs/1708.03888, algorithm 1).

    `v <- m v + rate * trust * (gradient + decay * w)`, `w <- w - v`, with
    `trust = coefficient * |w| / (|gradient| + decay * |w|)`. Where either norm is 0 (weights that start there) the
    trust is 1. Parameters of one dimension (biases) are neither decayed nor scaled.
    """

    def __init__(
        self, params: Any, lr: float, momentum: float = 0.9, weight_decay: float = 0.0, coefficient: float = 1e-3
    ) -> None:
        super().__init__(
            params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "coefficient": coefficient}
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step along the gradients that are there."""
        for group in self.param_groups:
            for value in group["params"]:
                if value.grad is None:
                    continue
                change = value.grad
                if value.ndim > 1:
                    trust = trust_ratio(value, change, group["weight_decay"], group["coefficient"])
                    change = trust * change.add(value, alpha=group["weight_decay"])
                velocity = self.state[value].setdefault("velocity", torch.zeros_like(value))
                velocity.mul_(group["momentum"]).add_(change, alpha=group["lr"])
                value.sub_(velocity)


def trust_ratio(value: Tensor, gradient: Tensor, decay: float, coefficient: float) -> Tensor:
    """How long a layer's step may be, next to its gradient; a number."""
    size, steep = value.norm(), gradient.norm()
    ratio = coefficient * size / (steep + decay * size)
    return torch.where((size > 0) & (steep > 0), ratio, torch.ones_like(ratio))
