"""Correlation congruence."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from deo_bench.declarations import Count, Positive
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import need, over_rows, unit


@loss(
    "cc",
    paper="https://arxiv.org/abs/1904.01802",
    takes="pooled",
    pairs="same",
    crops="global",
    spans_batch=True,
    dimension_free=True,
    zero_at_target=True,
)
class CorrelationCongruence(PairLoss):
    """The correlations between the images of a batch, by a kernel, as the teacher's: their mean squared difference.

    L = 1/B^2 sum_ij (k(s_i, s_j) - k(t_i, t_j))^2

    (Peng et al. 2019, the congruence loss of sec. 3.2 with a kernel of sec. 3.3), x being unit vectors:

    rbf: exp(-gamma |x - y|^2) as its Taylor series of `order` P, k = sum_p<=P exp(-2 gamma) (2 gamma)^p / p! (x . y)^p.
    bilinear: k = x . y, without `gamma` and `order`.

    gamma 0.4 and order 2 are those of the paper's experiments. RepDistiller's `Correlation`, with a weight of 0.02, is
    another loss: the mean of sum_d |s - t|_id |s - t|_(i+1)d over neighbours in the batch, which depends on the order
    of the images and relates errors, not images; that weight says nothing here. Features are [B, D], widths may
    differ. Rotation of either side changes nothing, nor does the length of any vector. Needs 2 images in a batch.
    """

    def __init__(self, *, kernel: Literal["rbf", "bilinear"] = "rbf", gamma: Positive = 0.4, order: Count = 2) -> None:
        super().__init__()
        series = [math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) for p in range(order + 1)]
        self.factors = series if kernel == "rbf" else [0.0, 1.0]

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D] and [B, E]."""
        need(len(student), 2, "cc")
        return over_rows(self._block, unit(student), unit(target)) / len(student) ** 2

    def _block(self, some_student: Tensor, some_target: Tensor, student: Tensor, target: Tensor) -> Tensor:
        return (self._kernel(some_student @ student.T) - self._kernel(some_target @ target.T)).square().sum()

    def _kernel(self, products: Tensor) -> Tensor:
        value = torch.full_like(products, self.factors[-1])
        for factor in reversed(self.factors[:-1]):
            value = value * products + factor
        return value
