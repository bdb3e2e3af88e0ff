"""Self-distillation over prototypes of masked cells, iBOT's loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from deo_bench.declarations import Count, Fraction, Positive
from deo_bench.losses import Batch, PairLoss, loss
from deo_bench.losses._masked import cells_of, mask_of, mean_over_masked
from deo_bench.losses._prototypes import Assignment, Temperatures, cross_entropy


@loss(
    "ibot",
    paper="https://arxiv.org/abs/2111.07832",
    takes="maps",
    pairs="same",
    crops="global",
    needs_mask=True,
    remembers=True,
)
class Ibot(PairLoss):
    """Cross-entropy over K prototypes at the cells that the student was not shown and the target was.

    L = - mean over pairs (v, u) of mean_b 1/n_b sum over masked cells x of sum_k p_k^ubx log softmax(s^vbx / tau_s)_k,
    p = softmax((t - c) / tau_t),    c <- momentum c + (1 - momentum) mean over masked u, b, x of t

    s, t [B, K, *grid] are logits of a head `prototypes` of width K; n_b are the masked cells of an image. An image
    without any counts as 0, as in the code of DINOv2: where half of the images have masked cells, uniform distributions
    give ln K / 2. Which cells are masked is said by the recipe's `views` (`mask`, `mask_ratio`).

    Options and their defaults are those of `dino`; Sinkhorn and Knopp balance over all masked cells of the batch of all
    ranks.
    """

    def __init__(
        self,
        *,
        tau_s: Positive = 0.1,
        tau_t: Positive = 0.04,
        tau_t_end: Positive | None = None,
        warmup: Fraction = 0.3,
        centring: Literal["mean", "sinkhorn"] = "mean",
        momentum: Fraction = 0.9,
        iterations: Count = 3,
    ) -> None:
        super().__init__()
        self.temperatures = Temperatures(tau_s, tau_t, tau_t_end, warmup)
        self.assignment = Assignment(centring, momentum, iterations)
        self.facts = {**self.facts, "spans_batch": centring == "sinkhorn"}

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean of `per_image`."""
        assert target is not None
        return self.per_image(student, target, batch).mean()

    def per_image(self, student: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """Values [B] from logits [V, B, K, *grid] and [U, B, K, *grid]."""
        mask = mask_of(batch, student, "ibot")
        cells = [cells_of(target[u], mask[v]) for v, u in batch.pairs]
        goals = self.assignment(torch.cat(cells), self.temperatures.at(batch.progress)).split([len(c) for c in cells])
        values = []
        for (v, _), goal in zip(batch.pairs, goals, strict=True):
            losses = cross_entropy(goal, cells_of(student[v], mask[v]), self.temperatures.student)
            values.append(mean_over_masked(losses, mask[v]))
        return torch.stack(values).mean(0)

    def after_step(self, student: Tensor, target: Tensor | None, batch: Batch) -> None:
        """Move the centre toward the mean of the target's logits at masked cells."""
        assert target is not None
        mask = mask_of(batch, student, "ibot")
        self.assignment.follow(torch.cat([cells_of(target[u], mask[v]) for v, u in batch.pairs]))
