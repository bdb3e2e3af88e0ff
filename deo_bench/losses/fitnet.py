"""FitNets' hint."""

from __future__ import annotations

from torch import Tensor

from deo_bench.losses import PairLoss, loss


@loss("fitnet", paper="https://arxiv.org/abs/1412.6550", takes="maps", zero_at_target=True)
class FitNet(PairLoss):
    """The squared difference of the regressed map and the teacher's hint.

    L = mean over pairs of mean_b mean_dx (r(s)_d^bx - t_d^bx)^2

    (Romero et al. 2015, eq. 3, with a mean for half of the sum, as RepDistiller has it; its weight there is 100.) The
    regressor r is the term's head, a 1 x 1 convolution in RepDistiller, which is `linear` here. The number is that of
    `mse`; what makes it FitNets is a hint from an inner level and that it takes maps alone.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] each."""
        return (student - target).square().flatten(1).mean(1)
