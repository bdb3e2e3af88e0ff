"""Asymmetric relational distillation of AMoE."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import distances, need, over_rows


@loss(
    "arkd",
    paper="https://arxiv.org/abs/2512.20157",
    takes="pooled",
    pairs="same",
    crops="global",
    spans_batch=True,
    dimension_free=True,
)
class Arkd(PairLoss):
    """Brings together what is near for the teacher, keeps apart what is far for it, and asks no more (ARKD).

    L = mean over i != j of l(max(d^S_ij - d^T_ij, 0)) where d^T_ij < m, of l(max(d^T_ij - d^S_ij, 0)) elsewhere

    d_ij = |x_i - x_j|, both over the teacher's mean of d over i != j; m = the median of d^T over i != j (of an even
    number, between the two in the middle); l = smooth L1, x^2 / 2 below 1 and |x| - 1/2 above (AMoE, Chaybouti et al.
    2025). A pair that is near for the teacher and nearer for the student costs nothing, nor does one that is far and
    farther: that is the asymmetry. Features are [B, D], widths may differ. Rotation and shift of either side change
    nothing, nor does one scale of both; the student's own scale does, since the teacher's mean is what both are
    measured by. Needs 2 images in a batch.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D] and [B, E]."""
        rows = len(student)
        need(rows, 2, "arkd")
        mean, median = _mean_and_median(target.detach())

        def block(some_student: Tensor, some_target: Tensor, student: Tensor, target: Tensor) -> Tensor:
            there = distances(some_target, target) / mean
            excess = distances(some_student, student) / mean - there
            errors = torch.where(there < median / mean, excess, -excess).relu()
            return F.smooth_l1_loss(errors, torch.zeros_like(errors), reduction="sum")

        return over_rows(block, student, target) / (rows * (rows - 1))


def _mean_and_median(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of the distances between rows, every pair once: the median of pairs is that of ordered pairs."""
    every = torch.pdist(rows)
    mean, number = every.mean(), len(every)
    low, high = (every.kthvalue(rank).values for rank in ((number + 1) // 2, number // 2 + 1))
    return torch.where(mean > 0, mean, 1.0), (low + high) / 2
