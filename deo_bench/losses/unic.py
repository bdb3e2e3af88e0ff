"""UNIC's feature loss."""

from __future__ import annotations

from torch import Tensor

from deo_bench.declarations import Fraction, Positive
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pointwise import cosine_distance, smooth_l1


@loss("unic", paper="https://arxiv.org/abs/2408.05088", zero_at_target=True)
class Unic(PairLoss):
    """Direction and length alike: half cosine distance, half smooth L1.

    L = mean over pairs of mean_b mean_x [share (1 - cos(s^bx, t^bx)) + (1 - share) mean_d h(s_d^bx - t_d^bx)]

    with `share` 0.5 and h the smooth L1 of `beta` 1 (Sariyildiz et al. 2024, and its code). There the class
    token and the patch tokens count the same, so two terms of one weight: one on the vector, one on a map. Targets are
    standardised by running statistics (`channel_std` is its fixed form), the head is `ladder`.
    """

    def __init__(self, *, share: Fraction = 0.5, beta: Positive = 1.0) -> None:
        super().__init__()
        self.share = share
        self.beta = beta

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] each."""
        direction, length = cosine_distance(student, target), smooth_l1(student, target, self.beta)
        return self.share * direction + (1 - self.share) * length
