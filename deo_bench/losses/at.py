"""Attention transfer."""

from __future__ import annotations

from torch import Tensor

from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import unit


@loss("at", paper="https://arxiv.org/abs/1612.03928", takes="maps", dimension_free=True, zero_at_target=True)
class AttentionTransfer(PairLoss):
    """Where in an image the energy of the features is, as the teacher's: no head, and any two widths.

    L = mean_b mean_x (a^S_bx - a^T_bx)^2,    a_b = the map of mean_d f_d^2, flattened and divided by its length

    (Zagoruyko and Komodakis 2017, sec. 3.1 with p = 2; the mean over cells as in their code and RepDistiller, whose
    weight is 1000.) Maps are [B, D, h, w]. The official code pools the larger map (adaptive average) to the smaller;
    here the term's `grid` says which grid both are brought to before the loss sees them ("smaller" is theirs, by
    bilinear interpolation that averages where it shrinks). Sign, scale and rotation of either side change nothing.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] and [B, E, *grid]."""
        return (_attention(student) - _attention(target)).square().mean(1)


def _attention(maps: Tensor) -> Tensor:
    return unit(maps.square().mean(1).flatten(1))
