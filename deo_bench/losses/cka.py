"""Centred kernel alignment of a batch."""

from __future__ import annotations

from torch import Tensor

from deo_bench.losses import PairLoss, loss
from deo_bench.losses._alignment import alignment
from deo_bench.losses._pairwise import need


@loss(
    "cka",
    paper="https://arxiv.org/abs/1905.00414",
    pairs="same",
    crops="global",
    spans_batch=True,
    dimension_free=True,
)
class Cka(PairLoss):
    """One minus the linear centred kernel alignment of student and target over the batch.

    L = 1 - |T^T S|^2 / (|S^T S| |T^T T|)    with Frobenius norms, the mean over the batch taken from each column

    (Kornblith et al. 2019, sec. 3, as a loss.) Features are [B, D], maps flattened to that, widths may differ. Scale,
    shift and rotation of either side change nothing: 0 where one is a rotation of the other.

    Few images bias it toward 0, the more so the wider the features: two independent sets of 20 columns align by 0.29
    in 50 images and by 0.004 in 5000. Take a batch that is much larger than the widths, or `debiased`: the unbiased
    estimate of each product (HSIC_1 of Song et al. 2012, as Nguyen et al. 2021 use it), with which independent
    features have a loss about 1, above or below. That needs 4 images in a batch, the plain one 2.
    """

    def __init__(self, *, debiased: bool = False) -> None:
        super().__init__()
        self.debiased = debiased

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D, *grid] each."""
        need(len(student), 4 if self.debiased else 2, "cka")
        return 1 - alignment(student.flatten(1), target.flatten(1), self.debiased)
