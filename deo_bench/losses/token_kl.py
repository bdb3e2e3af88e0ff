"""Token similarities of LightlyTrain."""

from __future__ import annotations

from torch import Tensor

from deo_bench.declarations import Positive
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import cells, over_images, unit


@loss(
    "token_kl",
    paper="https://github.com/lightly-ai/lightly-train",
    takes="maps",
    dimension_free=True,
    zero_at_target=True,
)
class TokenKl(PairLoss):
    """Which cells of its own image each cell is like, as the teacher has it: KL of softmaxes over cosines.

    L = mean_b 1/N sum_x KL(p^T_bx || p^S_bx),    p_x = softmax over the N cells y of cos(f_x, f_y) / temperature

    The local half of LightlyTrain's third distillation (`DistillationV3Loss`: temperature 0.07, weight 1; there is no
    paper). It projects the student to the teacher's width first; the equation does not need that, so a term has a head
    only where it names one. Maps are [B, D, h, w], widths may differ. Rotation of either side changes nothing, nor does
    the length of any cell.
    """

    def __init__(self, *, temperature: Positive = 0.07) -> None:
        super().__init__()
        self.temperature = temperature

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] and [B, E, *grid]."""
        here, there = unit(cells(student)), unit(cells(target))
        return over_images(self._block, here, there, here.shape[1] ** 2)

    def _block(self, student: Tensor, target: Tensor) -> Tensor:
        here, there = self._likeness(student), self._likeness(target)
        return (there.exp() * (there - here)).sum(2).mean(1)

    def _likeness(self, tokens: Tensor) -> Tensor:
        return (tokens @ tokens.mT / self.temperature).log_softmax(2)
