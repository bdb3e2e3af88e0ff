"""Smooth L1."""

from __future__ import annotations

from torch import Tensor

from deo_bench.declarations import Positive
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pointwise import smooth_l1


@loss("smooth_l1", paper="https://arxiv.org/abs/1504.08083", zero_at_target=True)
class SmoothL1(PairLoss):
    """Squared near the target, absolute far from it; the mean over channels and a map's cells.

    L = mean over pairs of mean_b mean_dx h(s_d^bx - t_d^bx),    h(e) = e^2 / (2 beta) if |e| < beta else |e| - beta / 2

    (Girshick 2015, eq. 3, with beta = 1.) Slope 1 far away whatever `beta`, which is in units of the target.
    """

    def __init__(self, *, beta: Positive = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] each."""
        return smooth_l1(student, target, self.beta)
