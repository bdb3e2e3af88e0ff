"""Sketched isotropic Gaussian regularisation of LeJEPA."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Count, Positive
from deo_bench.errors import UserError
from deo_bench.losses import Batch, Loss, loss
from deo_bench.losses._contrast import in_chunks


@loss(
    "sigreg",
    paper="https://arxiv.org/abs/2511.08544",
    takes="pooled",
    needs_target=False,
    dimension_free=True,
    spans_batch=True,
    draws=True,
)
class SIGReg(Loss):
    """The batch looks like a standard Gaussian from every side, tested along random directions (LeJEPA).

    L = mean over views and directions a of  B 2 int_0^reach |1/B sum_b e^(i x a.z_b) - e^(-x^2/2)|^2 e^(-x^2/2) dx

    Balestriero and LeCun, 2025: the statistic of Epps and Pulley, by the trapezoidal rule with `knots` points on
    [0, reach], of a view's vectors z [B, D] as they are (not normalised; a head should not normalise either) over the
    batch of all ranks. Directions are drawn anew each step, the same for all views and ranks.

    It regularises and wants no target. LeJEPA is 0.05 of it plus 0.95 of an invariance, the mean squared distance of
    every view to the mean of the global ones. By terms: this one with weight 0.05 and an `mse` toward `student` with
    `pairs = "all"`, both through one head (`[heads.NAME]`). The mean square over all pairs of a view with a global one
    is that invariance plus the global views' own spread about their mean: with global crops alone exactly twice the
    invariance, so its weight is then 0.475; with local crops a little more pull on the global ones than in LeJEPA.

    slices: directions a step; knots, reach: of the integral.

    The statistic grows with B where the batch is no Gaussian; with fewer than 64 images it can hardly tell.
    """

    def __init__(self, *, slices: Count = 1024, knots: Count = 17, reach: Positive = 3.0) -> None:
        super().__init__()
        if knots < 2:
            raise UserError("sigreg.knots: the trapezoidal rule has at least 2 points, got 1")
        self.slices = slices
        self.knots = knots
        self.reach = reach

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean over the views [V, B, D] that `batch.pairs` names, a scalar."""
        views = student[[v for v, _ in batch.pairs]]
        drawn = torch.randn(self.slices, views.shape[2], generator=batch.generator)
        directions = F.normalize(drawn.to(views), dim=1)
        knots = torch.linspace(0, self.reach, self.knots, device=views.device, dtype=views.dtype)
        gauss = (-knots.square() / 2).exp()
        shares = torch.full_like(knots, 2 * self.reach / (self.knots - 1))
        shares[[0, -1]] /= 2

        def compute(some: Tensor) -> Tensor:
            angles = (views @ some.T)[..., None] * knots
            errors = (angles.cos().mean(1) - gauss).square() + angles.sin().mean(1).square()
            return views.shape[1] * (errors @ (shares * gauss)).mean(0)

        return in_chunks(compute, views.shape[0] * views.shape[1] * self.knots, directions).mean()
