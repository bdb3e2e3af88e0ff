"""A problem small enough to work out by hand: one shared vector, a head a term, and steps that an optimiser takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from deo_bench.balance import Moment
from deo_bench.registry import Registry

REGISTRY = Registry()


class Problem:
    """Term k is |shared - centre_k|^2 / scale_k + offset_k + 0.1 |head_k - shared_0|^2, of which numpy knows all."""

    def __init__(self, centres, scales, offsets=None):
        self.centres, self.scales = np.array(centres, float), np.array(scales, float)
        self.offsets = np.zeros(len(scales)) if offsets is None else np.array(offsets, float)
        self.names = [f"term{k}" for k in range(len(scales))]
        self.shared = nn.Parameter(torch.linspace(-1, 1, self.centres.shape[1]).double())
        self.heads = [nn.Parameter(torch.tensor(float(k)).double()) for k in range(len(scales))]

    def losses(self):
        return {
            name: (self.shared - torch.from_numpy(self.centres[k])).square().sum() / self.scales[k]
            + self.offsets[k]
            + 0.1 * (self.heads[k] - self.shared[0]).square()
            for k, name in enumerate(self.names)
        }

    def numbers(self):
        """Losses [K] and gradients on the shared vector [K, D], by numpy."""
        x = self.shared.detach().numpy().copy()
        own = 0.1 * np.array([head.item() - x[0] for head in self.heads])
        away = x - self.centres
        values = (away**2).sum(1) / self.scales + self.offsets + own**2 / 0.1
        slopes = 2 * away / self.scales[:, None]
        slopes[:, 0] -= 2 * own
        return values, slopes

    def step(self, balance, weights, step=0, scale=1.0, rate=0.05):
        """One backward by the balance, one step of gradient descent; the total and the gradient [D] that was left."""
        for parameter in (self.shared, *self.heads, *balance.parameters()):
            parameter.grad = None
        balance.moment = Moment(step, torch.Generator().manual_seed(step), scale)
        given = dict(zip(self.names, weights, strict=True))
        total = balance.backward(self.losses(), given, [self.shared], lambda loss: (loss * scale).backward())
        gradient = self.shared.grad.clone() / scale
        with torch.no_grad():
            for parameter in (self.shared, *self.heads, *balance.parameters()):
                parameter -= rate * parameter.grad / scale
        return total.item(), gradient.numpy()


def built(name, problem, **options):
    return REGISTRY.build("balance", name, problem.names, options=options).double()
