"""Cosine of masked cells, the patch term of SimDINOv2."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.losses import Batch, PairLoss, loss
from deo_bench.losses._masked import mask_of, mean_over_masked


@loss(
    "simdinov2_patch",
    paper="https://arxiv.org/abs/2502.10385",
    takes="maps",
    pairs="same",
    crops="global",
    needs_mask=True,
)
class SimDinoV2Patch(PairLoss):
    """Minus the mean cosine of student and target at the cells that the student was not shown.

    L = - mean over pairs (v, u) of mean_b 1/n_b sum over masked cells x of cos(s^vbx, t^ubx)

    n_b are the masked cells of an image; one without any counts as 0, as in the official code: where half of the images
    have masked cells (`views.mask`), perfect agreement is -1/2. No prototypes, no centre; with `compression` and
    `coding_rate` beside it, toward an `ema` from 0.9 to 1, it is SimDINOv2.
    """

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean of `per_image`."""
        assert target is not None
        return self.per_image(student, target, batch).mean()

    def per_image(self, student: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """Values [B] from maps [V, B, D, *grid] and [U, B, D, *grid]."""
        mask = mask_of(batch, student, "simdinov2_patch")
        values = [mean_over_masked(-F.cosine_similarity(student[v], target[u], dim=1), mask[v]) for v, u in batch.pairs]
        return torch.stack(values).mean(0)
