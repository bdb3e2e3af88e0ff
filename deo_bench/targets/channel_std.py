"""Standardisation channel by channel."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from deo_bench.targets import Target, target


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
        """Mean and variance of chunks [n, D], merged chunk by chunk in float64 (Chan, Golub and LeVeque 1979)."""
        count, mean, squares = 0, torch.zeros(self.width).double(), torch.zeros(self.width).double()
        for chunk in features:
            rows = chunk.detach().double().cpu()
            if rows.ndim != 2 or rows.shape[1] != self.width or not rows.isfinite().all():
                raise ValueError(f"expected finite features [n, {self.width}], got {tuple(rows.shape)}")
            if not len(rows):
                continue
            shift = rows.mean(0) - mean
            total = count + len(rows)
            squares += (rows - rows.mean(0)).square().sum(0) + shift.square() * (count * len(rows) / total)
            mean += shift * (len(rows) / total)
            count = total
        if count < 2:
            raise ValueError(f"a standard deviation needs at least 2 features, got {count}")
        std = (squares / (count - 1)).sqrt()
        # What float32 cannot tell from a constant would only be its rounding, blown up.
        is_constant = std <= 1e-6 * mean.abs() + 1e-12
        self.mean.copy_(mean)
        self.std.copy_(torch.where(is_constant, 1.0, std))

    def forward(self, features: Tensor) -> Tensor:
        """[B, D, *grid], of the features' type."""
        shape = (1, -1, *[1] * (features.ndim - 2))
        return (features - self.mean.to(features).view(shape)) / self.std.to(features).view(shape)
