"""Kozachenko and Leonenko's entropy estimator, as a regulariser."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Positive
from deo_bench.errors import UserError
from deo_bench.losses import Batch, Loss, loss

CHUNK = 1024
"""Rows whose neighbours are looked for at once: the largest matrix is [CHUNK, B]."""


@loss(
    "koleo",
    paper="https://arxiv.org/abs/1806.03198",
    takes="pooled",
    needs_target=False,
    dimension_free=True,
    spans_batch=True,
    pairs="same",
    crops="global",
)
class KoLeo(Loss):
    """Minus the mean log distance of each image's features to the nearest of another image: spreads a batch out.

    L = - mean over views of mean_b log(|x_b - x_nn(b)| + eps),    x = s / |s|,    nn(b) = argmax_{a != b} x_a . x_b

    Each view by itself, over the batch of all ranks. Needs no target and no head: `on` the backbone's own vector, as in
    DINOv2, where its weight is 0.1 and the batch that of one device. Duplicates give - ln eps (18.42) and get no
    gradient of their own, for want of a direction; orthonormal features give - ln 2 / 2.
    """

    def __init__(self, *, eps: Positive = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """A scalar from [V, B, D]."""
        if student.shape[1] < 2:
            raise UserError("koleo: an image alone has no neighbour; train.batch has to be at least 2")
        views = dict.fromkeys(v for v, _ in batch.pairs)
        return torch.stack([self._view(student[v]) for v in views]).mean()

    def _view(self, features: Tensor) -> Tensor:
        rows = F.normalize(features, dim=1)
        squares = (rows - rows[nearest(rows)]).square().sum(1)
        # The root of 0 has no finite derivative, not even where its value is not taken.
        apart = squares > 0
        distances = torch.where(apart, torch.where(apart, squares, 1.0).sqrt(), 0.0)
        return -(distances + self.eps).log().mean()


@torch.no_grad()
def nearest(rows: Tensor) -> Tensor:
    """The number [B] of the nearest other row, of rows [B, D].

    In float64: in float32 rows nearer than 3e-4 could not be told apart by their products, and those push the hardest.
    """
    wide = rows.double() if rows.device.type != "mps" else rows
    halves = wide.square().sum(1) / 2
    found = []
    for start in range(0, len(wide), CHUNK):
        nearness = wide[start : start + CHUNK] @ wide.T - halves
        nearness.diagonal(start).fill_(-torch.inf)
        found.append(nearness.argmax(1))
    return torch.cat(found)
