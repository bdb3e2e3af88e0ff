"""Cosine compression of SimDINO."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from deo_bench.losses import PairLoss, loss


@loss("compression", paper="https://arxiv.org/abs/2502.10385", takes="pooled", pairs="cross", crops="all")
class Compression(PairLoss):
    """Minus the mean cosine of student and target over the pairs: -1 when they agree.

    L = -mean over pairs (j, i) of mean_b cos(s_j^b, t_i^b)

    By default every global target view i meets every other student view j: 2 n - 2 pairs for n crops. The attracting
    half of SimDINO's loss, and of DEO's (arXiv 2602.19863); `coding_rate` keeps it from collapsing.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D] each."""
        return -F.cosine_similarity(student, target, dim=1)
