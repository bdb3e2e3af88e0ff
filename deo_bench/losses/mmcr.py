"""Maximum manifold capacity representations."""

from __future__ import annotations

import torch
from torch import Tensor

from deo_bench.declarations import NonNegative
from deo_bench.losses import Batch, Loss, loss
from deo_bench.losses._pairwise import unit


@loss("mmcr", paper="https://arxiv.org/abs/2303.03307", takes="pooled", spans_batch=True)
class MaximumManifoldCapacity(Loss):
    """Centroids of an image's views span as much as they can, its views as little (MMCR).

    L = -sum_r sigma_r(C) + lambda/B sum_b sum_r sigma_r(Z_b)

    sigma_r are singular values, Z_b [k, D] the unit vectors of image b: its k views, those of student and target that
    the pairs name, and C [B, D] the means of Z_b. Yerxa et al., 2023, sec. 3; a target's views count as in lightly's
    form for momentum encoders, which leaves it to the caller to normalise. The batch is that of all ranks. Views that
    all agree on orthonormal images give -B + lambda sqrt(k). Toward `student` with one band set the global views come
    twice, which only scales the second sum.

    local: lambda.

    B singular values need different images to say anything; batches of fewer than 64 say little.
    """

    def __init__(self, *, local: NonNegative = 5e-3) -> None:
        super().__init__()
        self.local = local

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """A scalar from the views [V, B, D] and [U, B, D] that `batch.pairs` names."""
        assert target is not None
        here, there = ({pair[side] for pair in batch.pairs} for side in (0, 1))
        views = torch.cat([student[sorted(here)], target[sorted(there)]])
        views = unit(views).transpose(0, 1)
        spread = torch.linalg.svdvals(views.mean(1)).sum()
        return self.local * torch.linalg.svdvals(views).sum() / len(views) - spread
