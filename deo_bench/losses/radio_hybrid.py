"""AM-RADIO's feature loss."""

from __future__ import annotations

from torch import Tensor

from deo_bench.declarations import Fraction, Positive
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pointwise import cosine_distance, smooth_l1


@loss("radio_hybrid", paper="https://arxiv.org/abs/2312.06709", zero_at_target=True)
class RadioHybrid(PairLoss):
    """Mostly the direction of each cell, a little its length: 0.9 cosine distance and 0.1 smooth L1.

    L = mean over pairs of mean_b mean_x [share (1 - cos(s^bx, t^bx)) + (1 - share) mean_d h(s_d^bx - t_d^bx)]

    with h the smooth L1 of `beta` 1 (Ranzinger et al. 2024; their beta is this `share`, 0.9; Theia mixes alike). The
    paper has it on maps, brought to one grid first, and `cosine` on the summary vector, every weight 1.
    """

    def __init__(self, *, share: Fraction = 0.9, beta: Positive = 1.0) -> None:
        super().__init__()
        self.share = share
        self.beta = beta

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] each."""
        direction, length = cosine_distance(student, target), smooth_l1(student, target, self.beta)
        return self.share * direction + (1 - self.share) * length
