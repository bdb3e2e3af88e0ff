"""Coding-rate expansion of SimDINO."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Count, Positive
from deo_bench.errors import UserError
from deo_bench.losses import PairLoss, loss


@loss(
    "coding_rate",
    paper="https://arxiv.org/abs/2502.10385",
    takes="pooled",
    pairs="same",
    crops="global",
    spans_batch=True,
)
class CodingRate(PairLoss):
    """Minus the coding rate of the batch, which is low where the features are spread out.

    L = -gamma * mean over pairs of 1/2 logdet(I + p / (B N eps) W^T W),    gamma = (p + N B) / (p N B)

    W [B, p] are the unit vectors of a view: the student's (`mix = "student"`), or the average of student and target
    (`"average"`, not normalised again), as DEO's code has them (`expa_type` 0 and 1). `eps` is 0.05 in DEO's README and
    in SimDINOv2, 0.5 in SimDINO.

    The official code runs on N devices of B images each: with its `reduce_cov` it adds up W^T W over them, without
    (its default) every device has its own, though the denominators count all N. Here the batch is what all devices
    hold together: `virtual_world_size = N` with `reduce_cov = false` cuts it into N parts of B in order and takes the
    mean of their losses, as the gradients of N devices are averaged; the pressure is then far weaker. `reduce_cov =
    true` is one covariance of the whole batch, whatever N.
    """

    version = 2

    def __init__(
        self,
        *,
        eps: Positive = 0.05,
        mix: Literal["average", "student"] = "average",
        virtual_world_size: Count = 1,
        reduce_cov: bool = False,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.mix = mix
        self.devices = 1 if reduce_cov else virtual_world_size

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, p] each."""
        rows = F.normalize(student, dim=1)
        if self.mix == "average":
            rows = (rows + F.normalize(target, dim=1)) / 2
        if len(rows) % self.devices:
            raise UserError(f"coding_rate: virtual_world_size = {self.devices} does not divide a batch of {len(rows)}")
        parts = rows.view(self.devices, -1, rows.shape[1])
        return -torch.stack([coding_rate(part, self.eps, self.devices) for part in parts]).mean()

    def collapsed(self, width: int, batch: int) -> float:
        """What the rate (minus this loss) is when all images of a batch have one feature."""
        return collapsed_rate(width, batch // self.devices, self.eps, self.devices)


def coding_rate(rows: Tensor, eps: float = 0.05, virtual_world_size: int = 1) -> Tensor:
    """gamma / 2 * logdet(I + p / (B N eps) W^T W) of rows W [B, p], a scalar.

    In float64, since the determinant of a collapsed batch is ill-conditioned, and from the smaller of the two Gram
    matrices, whose determinants are equal.
    """
    batch, width = rows.shape
    wide = rows.double() if rows.device.type != "mps" else rows
    gram = wide @ wide.T if batch < width else wide.T @ wide
    scaled = gram * (width / (batch * virtual_world_size * eps))
    factor = torch.linalg.cholesky(scaled + torch.eye(len(gram), dtype=gram.dtype, device=gram.device))
    return (_gamma(width, batch, virtual_world_size) * factor.diagonal().log().sum()).to(rows.dtype)


def collapsed_rate(width: int, batch: int, eps: float = 0.05, virtual_world_size: int = 1) -> float:
    """The coding rate of B equal unit vectors in R^p: gamma / 2 * ln(1 + p / (N eps)), the least that unit rows have.

    A run has collapsed where its rate is under three times this while the cosine of its views is above 0.98.
    """
    rate = math.log1p(width / (virtual_world_size * eps)) / 2
    return _gamma(width, batch, virtual_world_size) * rate


def _gamma(width: int, batch: int, virtual_world_size: int) -> float:
    samples = batch * virtual_world_size
    return (width + samples) / (width * samples)
