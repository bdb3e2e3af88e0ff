"""Contrastive multiview coding."""

from __future__ import annotations

import torch
from torch import Tensor

from deo_bench.declarations import Positive
from deo_bench.losses import Batch, Loss, loss
from deo_bench.losses._contrast import symmetric_infonce


@loss(
    "cmc",
    paper="https://arxiv.org/abs/1906.05849",
    takes="pooled",
    pairs="same",
    crops="global",
    spans_batch=True,
)
class ContrastiveMultiviewCoding(Loss):
    """Symmetric InfoNCE between two sights of the same crop, added up over the pairs of views (CMC).

    L = sum over pairs (v, u) of 1/2 [CE(rows) + CE(columns)] of the logits cos(s_v^i, t_u^j) / T

    Tian et al., 2020 (the full graph), where a pair adds up its two directions: twice this. A sight is a band set of
    the student (`toward = "student"`, `target_sees`: gradients on both sides) or a teacher, as in CMC for EO and SAR
    (arXiv 2109.00120); three sights are three terms. With one band set on both sides a pair of one view with itself is
    trivial: there use `pairs = "cross"`. Vectors [B, D]; the other images of the batch, over all ranks, stand for the
    paper's memory of negatives.

    temperature: T.

    It says little where the batch has fewer than 64 images: state the batch with the result.
    """

    def __init__(self, *, temperature: Positive = 0.07) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The sum over `batch.pairs`, a scalar."""
        assert target is not None
        scale = 1 / self.temperature
        return torch.stack([symmetric_infonce(student[v], target[u], scale) for v, u in batch.pairs]).sum()
