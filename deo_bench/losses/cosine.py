"""Cosine distance."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from deo_bench.losses import PairLoss, loss


@loss("cosine", paper="https://arxiv.org/abs/2602.19863", zero_at_target=True)
class Cosine(PairLoss):
    """One minus the cosine of student and target, the mean over a map's cells.

    L = mean over pairs of mean_b mean_x (1 - cos(s^bx, t^bx))

    DEO's optical distillation, up to its constant: there the pooled vectors weigh 1/2 and each level of maps 1/4 in the
    code, twice that in the paper.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] each."""
        distances = 1 - F.cosine_similarity(student, target, dim=1)
        return distances.reshape(len(distances), -1).mean(1)
