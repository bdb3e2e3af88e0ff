"""Conflicting gradients projected onto each other's normal planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from deo_bench.balance import Backward, Balance, balance


@balance("pcgrad", paper="https://arxiv.org/abs/2001.06782", draws=True)
class PcGrad(Balance):
    """PCGrad (Yu et al.): a term's gradient loses what points against another's before they are added up.

    For each term i, with g_k the gradient of w_k L_k on the student: p_i = g_i, and for every other j in an order drawn
    from (seed, step), where p_i . g_j < 0: p_i <- p_i - (p_i . g_j / |g_j|^2) g_j. The student gets sum_i p_i. That is
    sum_k c_k g_k with c_k >= 1, so one backward pass of sum_k c_k w_k L_k gives it, which the heads get, too. Where
    nothing conflicts it is the plain sum. Costs a backward pass through the student, and its gradient in memory, for
    each term.
    """

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        """One backward pass of the sum of the terms, each as often as the projections add it."""
        values = self.stacked(losses)
        weighted = self.as_weights(weights, values) * values
        count = len(weighted)
        products = torch.ones(1, 1)
        if count > 1:
            gradients = [self.gradient(value, shared) for value in weighted]
            found = torch.stack([torch.stack([a @ b for b in gradients]) for a in gradients])
            # Half precision may overflow: its plug-in then skips the step, whatever is added up.
            products = found if bool(found.isfinite().all()) else torch.eye(count)
        orders = [torch.randperm(count, generator=self.moment.generator).tolist() for _ in range(count)]
        total = (projected(products.double().cpu(), orders).to(values) * weighted).sum()
        run_backward(total)
        return total.detach()


def projected(products: Tensor, orders: Sequence[Sequence[int]]) -> Tensor:
    """c [K], how often each gradient is in the sum of the projected ones, from the gradients' inner products [K, K]."""
    parts = torch.eye(len(products), dtype=products.dtype)
    for i, order in enumerate(orders):
        for j in order:
            along = parts[i] @ products[:, j]
            if j != i and along < 0 < products[j, j]:
                parts[i, j] -= along / products[j, j]
    return parts.sum(0)
