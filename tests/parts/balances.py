"""A balance for each thing that a balance may do beside adding up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance, balance


@balance("test_equal")
class Equal(Balance):
    """Compares gradients: each term is divided by the norm of its gradient on the student."""

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        parts = []
        for name, value in losses.items():
            gradients = torch.autograd.grad(value, shared, retain_graph=True, allow_unused=True)
            norm = torch.stack([gradient.norm() for gradient in gradients if gradient is not None]).norm()
            parts.append(weights[name] * value / norm.clamp_min(1e-12))
        total = torch.stack(parts).sum()
        run_backward(total)
        return total.detach()


@balance("test_learned")
class Learned(Balance):
    """Owns parameters: sum_k exp(-a_k) L_k + a_k, with learned a."""

    def __init__(self, terms: Sequence[str], *, start: float = 0.0) -> None:
        super().__init__(terms)
        self.log_variance = nn.Parameter(torch.full((len(self.terms),), start))

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        a = dict(zip(self.terms, self.log_variance, strict=True))
        total = torch.stack(
            [weights[name] * (value * (-a[name]).exp() + a[name]) for name, value in losses.items()]
        ).sum()
        run_backward(total)
        return total.detach()
