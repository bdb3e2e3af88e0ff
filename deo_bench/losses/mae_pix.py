"""Masked pixels, as MAE reconstructs them."""

from __future__ import annotations

import torch
from torch import Tensor

from deo_bench.losses import Batch, PairLoss, loss
from deo_bench.losses._masked import mask_of, mean_over_masked

EPSILON = 1e-6


@loss("mae_pix", paper="https://arxiv.org/abs/2111.06377", takes="maps", pairs="same", crops="global", needs_mask=True)
class MaePix(PairLoss):
    """The squared error of the pixels of the cells that the student was not shown.

    L = mean over pairs (v, u) of mean_b 1/n_b sum over masked cells x of mean_d (s_d^vbx - p_d^ubx)^2,
    p = (t - mean_d t) / sqrt(var_d t + 1e-6)

    (He et al. 2022, sec. 3 and its code: `norm_pix_loss`, unbiased variance.) Meant for `toward = "pixels"`: t [B, C p
    p, h, w] are then the normalised pixels of each cell of a level, all bands together, and s the student's masked
    pass through a head of that width (`decoder`, or `linear` as in SimMIM). n_b are an image's masked cells; an image
    without any counts as 0. MAE masks 0.75 of every image: `views.mask = 1` and `views.mask_ratio = [0.75, 0.75]`.
    Unlike MAE's, the student is shown a mask token in the place of a masked cell (as SimMIM does), so nothing is saved
    by masking.

    normalise: false for t itself in the place of p.
    """

    def __init__(self, *, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = normalise

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean of `per_image`."""
        assert target is not None
        return self.per_image(student, target, batch).mean()

    def per_image(self, student: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """Values [B] from maps [V, B, D, *grid] and [U, B, D, *grid]."""
        mask, wanted = mask_of(batch, student, "mae_pix"), _normalised(target) if self.normalise else target
        values = [mean_over_masked((student[v] - wanted[u]).square().mean(1), mask[v]) for v, u in batch.pairs]
        return torch.stack(values).mean(0)


def _normalised(target: Tensor) -> Tensor:
    """[U, B, D, *grid] with mean 0 and variance 1 in each cell."""
    values = target - target.mean(2, keepdim=True)
    degrees = max(target.shape[2] - 1, 1)
    return values / (values.square().sum(2, keepdim=True) / degrees + EPSILON).sqrt()
