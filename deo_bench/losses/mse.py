"""Mean squared error."""

from __future__ import annotations

from torch import Tensor

from deo_bench.losses import PairLoss, loss


@loss("mse", paper="https://arxiv.org/abs/2410.01680", zero_at_target=True)
class MeanSquaredError(PairLoss):
    """The squared difference of student and target, the mean over channels and a map's cells.

    L = mean over pairs of mean_b mean_dx (s_d^bx - t_d^bx)^2

    It follows the target's scale channel by channel: meant for standardised targets (PHI-S, sec. 3; `channel_std`), and
    for heads that do not normalise.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] each."""
        return (student - target).square().flatten(1).mean(1)
