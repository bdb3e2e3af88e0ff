"""Mean absolute error."""

from __future__ import annotations

from torch import Tensor

from deo_bench.losses import PairLoss, loss


@loss("l1", zero_at_target=True)
class MeanAbsoluteError(PairLoss):
    """The absolute difference of student and target, the mean over channels and a map's cells.

    L = mean over pairs of mean_b mean_dx |s_d^bx - t_d^bx|

    Its gradient has one size however far the student is, so outlying channels and cells count less than with `mse`.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] each."""
        return (student - target).abs().flatten(1).mean(1)
