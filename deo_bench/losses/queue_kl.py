"""Likeness to a queue of teacher vectors, as a distribution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Count, Positive
from deo_bench.losses import Batch, Loss, loss
from deo_bench.losses._contrast import in_chunks
from deo_bench.losses._memory import Memory
from deo_bench.losses._pairwise import unit


@loss(
    "queue_kl",
    paper="https://docs.lightly.ai/train/stable/pretrain_distill/methods/distillation.html",
    takes="pooled",
    pairs="same",
    crops="global",
    spans_batch=True,
    remembers=True,
    zero_at_target=True,
)
class QueueKL(Loss):
    """The student is as like to the teacher's latest vectors as the teacher itself is (LightlyTrain's distillation v1).

    L = mean over pairs of 1/B sum_b KL( softmax(t_b q^T / T) || softmax(s_b q^T / T) )

    s, t [B, D] are unit vectors and q [n, D] the last n <= `size` unit target vectors, those of this batch (all ranks,
    all views) first, so that the first step has some; the queue takes them in once the optimiser has stepped, and
    forgets the oldest. LightlyTrain starts from a queue of zeros, whose rows count as classes until real ones have
    pushed them out, and has a queue on each device; here a row is always a vector that was seen, by any rank.

    temperature: T; size: rows of the queue (LightlyTrain: 8192, for fewer than 20,000 images about a quarter of them).

    With a batch far below 64 images the first steps compare with too few vectors: state the batch with the result.
    """

    def __init__(self, *, temperature: Positive = 0.07, size: Count = 8192) -> None:
        super().__init__()
        self.temperature = temperature
        self.size = size
        self.queue = Memory()

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean over `batch.pairs`, a scalar."""
        assert target is not None
        classes = self._queue_with(target)

        def compute(s: Tensor, t: Tensor) -> Tensor:
            wanted = (t @ classes.T / self.temperature).log_softmax(1)
            given = (s @ classes.T / self.temperature).log_softmax(1)
            return F.kl_div(given, wanted, reduction="none", log_target=True).sum(1)

        values = []
        for v, u in batch.pairs:
            s, t = unit(student[v]), unit(target[u])
            values.append(in_chunks(compute, len(classes), s, t).mean())
        return torch.stack(values).mean()

    def after_step(self, student: Tensor, target: Tensor | None, batch: Batch) -> None:
        """Put the batch's target vectors in front, and forget the oldest."""
        assert target is not None
        self.queue.keep(self._queue_with(target))

    def _queue_with(self, target: Tensor) -> Tensor:
        new = unit(target.flatten(0, 1))
        return torch.cat([new, self.queue.rows(new, "queue_kl")])[: self.size]
