"""Standardisation by one number."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from deo_bench.features import at_least_float32
from deo_bench.targets import Target, target
from deo_bench.targets._moments import variances


@target("global_std", paper="https://arxiv.org/abs/2410.01680", needs_fit=True)
class GlobalStd(Target):
    """Every channel minus its mean, all over one number: the root of the channels' mean variance.

    t' = (t - mu) / sigma, sigma^2 = mean over d of var(t_d), unbiased, as fitted on a stream of features. Proportions
    between channels stay what they were; the mean variance becomes 1 (as in `phi_s`, which turns the channels, too).
    Features that do not vary keep sigma 1. NaN until fitted.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.full((width,), torch.nan).double())
        self.register_buffer("std", torch.tensor(torch.nan).double())

    def fit(self, features: Iterable[Tensor]) -> None:
        """Means and variances of chunks [n, D]."""
        mean, each = variances(features, self.width)
        std = each.mean().sqrt()
        self.mean.copy_(mean)
        # What float32 cannot tell from constant features would only be its rounding, blown up.
        self.std.fill_(1.0 if std <= 1e-6 * mean.abs().mean() + 1e-12 else float(std))

    def forward(self, features: Tensor) -> Tensor:
        """[B, D, *grid], of the features' type, computed in at least float32."""
        wide = at_least_float32(features)
        return ((wide - self._mean(wide)) / self.std.to(wide)).to(features.dtype)

    def inverse(self, features: Tensor) -> Tensor:
        """The features that `forward` made these of, [B, D, *grid]."""
        return features * self.std.to(features) + self._mean(features)

    def _mean(self, features: Tensor) -> Tensor:
        return self.mean.to(features).view(1, -1, *[1] * (features.ndim - 2))
