"""Relational knowledge distillation: the distances and the angles of a batch."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional as F

from deo_bench.losses import Batch, Loss, PairLoss, loss
from deo_bench.losses._pairwise import distances, need, over_images, over_rows, unit


@loss(
    "rkd_distance",
    paper="https://arxiv.org/abs/1904.05068",
    pairs="same",
    crops="global",
    spans_batch=True,
    dimension_free=True,
)
class RkdDistance(PairLoss):
    """The distances between the images of a batch, each over their mean, as the teacher's (RKD-D).

    L = 1/B^2 sum_ij l(d^S_ij / m^S - d^T_ij / m^T),    d_ij = |x_i - x_j|,  m = the mean of d over i != j

    with the smooth L1 l(x) = x^2 / 2 below 1 and |x| - 1/2 above (Park et al. 2019, sec. 3.2.1; the mean over all B^2
    pairs as in RepDistiller, whose weight for it is 25; the mean over distances that are not 0 there, over pairs of
    two images here and in the paper: they differ where images coincide). Features are [B, D], maps flattened to that,
    widths may differ. Scale, shift and rotation of either side change nothing. Needs 2 images in a batch.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D, *grid] each."""
        need(len(student), 2, "rkd_distance")
        here, there = student.flatten(1), target.flatten(1)
        rows = len(here)
        mean_here, mean_there = (_mean_distance(features) for features in (here, there))

        def block(some_here: Tensor, some_there: Tensor, here: Tensor, there: Tensor) -> Tensor:
            mine = distances(some_here, here) / mean_here
            return F.smooth_l1_loss(mine, distances(some_there, there) / mean_there, reduction="sum")

        return over_rows(block, here, there) / rows**2


@loss(
    "rkd_angle",
    paper="https://arxiv.org/abs/1904.05068",
    pairs="same",
    crops="global",
    spans_batch=True,
    dimension_free=True,
    draws=True,
)
class RkdAngle(Loss):
    """The angles in the triangles of three images of a batch, as the teacher's (RKD-A); above 64 images, of a sample.

    L = 1/B^3 sum_ijk l(c^S_ijk - c^T_ijk),    c_ijk = cos of the angle at j between x_i - x_j and x_k - x_j

    over i, j, k that differ, with the smooth L1 l (Park et al. 2019, sec. 3.2.2; over B^3, where triplets that repeat
    an image count as 0, as in RepDistiller, whose weight for it is 50). Features are [B, D], maps flattened to that,
    widths may differ. Scale, shift and rotation of either side change nothing. Needs 3 images in a batch.

    images: up to so many, every triplet counts. Above, so many j are drawn, and for each so many - 1 others as i and
    k: images^3 triplets instead of B^3, each as likely as any other, so that the mean over draws is the whole sum.
    """

    def __init__(self, *, images: Annotated[int, Ge(3)] = 64) -> None:
        super().__init__()
        self.images = images

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean over the pairs of views, each with triplets of its own."""
        assert target is not None
        need(student.shape[1], 3, "rkd_angle")
        values = [self._compare(student[v].flatten(1), target[u].flatten(1), batch) for v, u in batch.pairs]
        return torch.stack(values).mean()

    def _compare(self, here: Tensor, there: Tensor, batch: Batch) -> Tensor:
        rows, tips = len(here), min(self.images, len(here))
        ends = tips - 1
        at, around = (drawn.to(here.device) for drawn in _triplets(rows, tips, batch.generator))

        def block(at: Tensor, around: Tensor) -> Tensor:
            errors = _angles(here, at, around) - _angles(there, at, around)
            # Where i = k there is no angle, whatever rounding makes of it.
            errors = errors * (1 - torch.eye(ends, dtype=errors.dtype, device=errors.device))
            return F.smooth_l1_loss(errors, torch.zeros_like(errors), reduction="none").sum((1, 2))

        table = ends * max(ends, here.shape[1], there.shape[1])
        share = (rows * (rows - 1) * (rows - 2)) / (tips * ends * (ends - 1))
        return over_images(block, at, around, table).sum() * share / rows**3


def _triplets(rows: int, tips: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which j [tips], and which i and k [tips, tips - 1] beside each, drawn without repetition."""
    at = torch.randperm(rows, generator=generator)[:tips]
    order = torch.rand(tips, rows, generator=generator)
    order[torch.arange(tips), at] = 2.0
    return at, order.argsort(1)[:, : tips - 1]


def _angles(rows: Tensor, at: Tensor, around: Tensor) -> Tensor:
    """Cosines [J, E, E] at rows `at` [J] between those `around` [J, E]."""
    sides = unit(rows[around] - rows[at][:, None])
    return sides @ sides.mT


def _mean_distance(rows: Tensor) -> Tensor:
    def block(some: Tensor, _: Tensor, rows: Tensor, __: Tensor) -> Tensor:
        return distances(some, rows).sum()

    mean = over_rows(block, rows, rows) / (len(rows) * (len(rows) - 1))
    return torch.where(mean > 0, mean, 1.0)
