"""Self-distillation over prototypes, DINO's loss."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from deo_bench.declarations import Count, Fraction, Positive
from deo_bench.losses import Batch, PairLoss, loss
from deo_bench.losses._prototypes import Assignment, Temperatures, cross_entropies


@loss(
    "dino",
    paper="https://arxiv.org/abs/2104.14294",
    takes="pooled",
    pairs="cross",
    crops="all",
    remembers=True,
)
class Dino(PairLoss):
    """Cross-entropy between the target's and the student's distributions over K prototypes.

    L = - mean over pairs (v, u) of mean_b sum_k p_k^ub log softmax(s^vb / tau_s)_k,
    p = softmax((t - c) / tau_t),    c <- momentum c + (1 - momentum) mean over u, b of t,    without a gradient to t

    s, t [B, K] are logits, so the term wants a shared head `prototypes` whose `width` is K (65536 in the papers). Where
    both are uniform it is ln K. (DINO, sec. 3.1; the code's values: tau_s 0.1, tau_t 0.04, momentum 0.9.)

    `tau_t_end`: the target's temperature goes from `tau_t` to it in a straight line, over the first `warmup` of
    training (DINO's larger set-ups: from 0.04 to 0.07 over 30 epochs). `centring = "sinkhorn"`: p are Sinkhorn and
    Knopp's assignments after so many `iterations` instead, balanced over all target views of the batch of all ranks
    (DINOv2, 3 iterations); there is no centre then, and the loss spans the batch.

    The centre moves once for each place and role that the term compares, after the step; its width is that of the first
    logits.
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
        """Values [B] from logits [V, B, K] and [U, B, K]."""
        goals = self.assignment(target.flatten(0, 1), self.temperatures.at(batch.progress))
        return cross_entropies(goals.view_as(target), student, batch.pairs, self.temperatures.student)

    def after_step(self, student: Tensor, target: Tensor | None, batch: Batch) -> None:
        """Move the centre toward the mean of the target's logits."""
        assert target is not None
        self.assignment.follow(target.flatten(0, 1))
