"""Probabilistic knowledge transfer."""

from __future__ import annotations

from torch import Tensor

from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import need, over_rows, unit

LEAST = 1e-7


@loss(
    "pkt",
    paper="https://arxiv.org/abs/1803.10837",
    takes="pooled",
    pairs="same",
    crops="global",
    spans_batch=True,
    dimension_free=True,
    zero_at_target=True,
)
class ProbabilisticTransfer(PairLoss):
    """How probable each image of a batch is as another's neighbour, as the teacher has it: KL of cosine kernels.

    L = 1/B^2 sum_ij p^T_ij ln((p^T_ij + e) / (p^S_ij + e))

    p_ij = k_ij / sum_j k_ij,    k_ij = (1 + cos(x_i, x_j)) / 2,    e = 1e-7

    (Passalis and Tefas 2018, with its cosine kernel; the mean over all B^2 pairs, i = j among them, as in their code
    and RepDistiller, whose weight is 30000.) Features are [B, D], widths may differ. Rotation of either side changes
    nothing, nor does the length of any vector. Needs 2 images in a batch.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D] and [B, E]."""
        need(len(student), 2, "pkt")
        return over_rows(_block, unit(student), unit(target)) / len(student) ** 2


def _block(some_student: Tensor, some_target: Tensor, student: Tensor, target: Tensor) -> Tensor:
    here, there = _neighbours(some_student, student), _neighbours(some_target, target)
    return (there * ((there + LEAST).log() - (here + LEAST).log())).sum()


def _neighbours(some: Tensor, rows: Tensor) -> Tensor:
    kernel = (some @ rows.T + 1).clamp_min(0) / 2
    return kernel / kernel.sum(1, keepdim=True)
