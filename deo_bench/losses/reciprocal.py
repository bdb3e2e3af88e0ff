"""Reciprocal consistency of two branches."""

from __future__ import annotations

from torch import Tensor

from deo_bench.declarations import Positive
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import need, over_rows, unit


@loss(
    "reciprocal",
    paper="https://arxiv.org/abs/2306.00813",
    takes="pooled",
    pairs="same",
    crops="global",
    spans_batch=True,
    zero_at_target=True,
)
class Reciprocal(PairLoss):
    """What an image is like, seen from either branch into the other, is the same: symmetric KL of the two directions.

    L = 1/B sum_i (KL(p_i || q_i) + KL(q_i || p_i)) / 2

    p_i = softmax over j of cos(s_i, t_j) / temperature: student to target;
    q_i = softmax over j of cos(t_i, s_j) / temperature: target to student

    The name is UniDiff's (Dong et al. 2023: reciprocal semantic consistency of a contrastive and a generative branch,
    which takes captions and a generator). This equation is this project's own, for two branches that see images: two
    band sets of one student (`toward = "student"`), or student and teacher. It is 0 wherever the similarities of the
    batch are symmetric: at s = t, but also at s = -t, or for two branches that have both collapsed. So it goes beside
    a term that pulls s_i to t_i, as contrast does in UniDiff (`infonce`).
    Temperature 0.07, CLIP's. Features are [B, D] of one width. One rotation of both sides changes nothing, nor does the
    length of any vector. Needs 2 images in a batch.
    """

    def __init__(self, *, temperature: Positive = 0.07) -> None:
        super().__init__()
        self.temperature = temperature

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D] each."""
        need(len(student), 2, "reciprocal")
        return over_rows(self._block, unit(student), unit(target)) / len(student)

    def _block(self, some_student: Tensor, some_target: Tensor, student: Tensor, target: Tensor) -> Tensor:
        there = (some_student @ target.T / self.temperature).log_softmax(1)
        back = (some_target @ student.T / self.temperature).log_softmax(1)
        return ((there.exp() - back.exp()) * (there - back)).sum() / 2
