"""Similarity-preserving distillation."""

from __future__ import annotations

from torch import Tensor

from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import need, over_rows, unit


@loss(
    "sp",
    paper="https://arxiv.org/abs/1907.09682",
    pairs="same",
    crops="global",
    spans_batch=True,
    dimension_free=True,
    zero_at_target=True,
)
class SimilarityPreserving(PairLoss):
    """Which images of a batch are alike, as the teacher has it: squared difference of the similarities, row by row.

    L = 1/B^2 sum_ij (G^S_ij - G^T_ij)^2,    G = X X^T with each row divided by its length

    X are the features [B, D] as they are, or maps flattened to that (Tung and Mori 2019, sec. 3); RepDistiller's
    weight is 3000. Widths may differ. Rotation and positive scale of either side change nothing. Needs 2 images in a
    batch.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D, *grid] each."""
        need(len(student), 2, "sp")
        return over_rows(_block, student.flatten(1), target.flatten(1)) / len(student) ** 2


def _block(some_student: Tensor, some_target: Tensor, student: Tensor, target: Tensor) -> Tensor:
    return (unit(some_student @ student.T) - unit(some_target @ target.T)).square().sum()
