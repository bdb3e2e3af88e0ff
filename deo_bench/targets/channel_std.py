"""Standardisation channel by channel."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from deo_bench.features import at_least_float32
from deo_bench.targets import Target, target
from deo_bench.targets._moments import variances


@target("channel_std", paper="https://arxiv.org/abs/2410.01680", needs_fit=True)
class ChannelStd(Target):
    """Every channel minus its mean, over its standard deviation, as fitted on a stream of features.

    t'_d = (t_d - mean_d) / std_d, with the unbiased variance. A channel that does not vary keeps std 1. Before it is
    fitted it gives NaN, so that nothing can be trained on it by oversight.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.full((width,), torch.nan))
        self.register_buffer("std", torch.full((width,), torch.nan))

    def fit(self, features: Iterable[Tensor]) -> None:
        """Mean and variance of chunks [n, D], in one pass and in float64."""
        mean, each = variances(features, self.width)
        std = each.sqrt()
        # What float32 cannot tell from a constant would only be its rounding, blown up.
        is_constant = std <= 1e-6 * mean.abs() + 1e-12
        self.mean.copy_(mean)
        self.std.copy_(torch.where(is_constant, 1.0, std))

    def forward(self, features: Tensor) -> Tensor:
        """[B, D, *grid], of the features' type, computed in at least float32."""
        wide = at_least_float32(features)
        mean, std = self._stretched(wide)
        return ((wide - mean) / std).to(features.dtype)

    def inverse(self, features: Tensor) -> Tensor:
        """The features that `forward` made these of, [B, D, *grid]."""
        mean, std = self._stretched(features)
        return features * std + mean

    def _stretched(self, features: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *[1] * (features.ndim - 2))
        return self.mean.to(features).view(shape), self.std.to(features).view(shape)
