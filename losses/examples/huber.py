"""Huber distance."""

from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Positive
from deo_bench.losses import PairLoss, loss


@loss("huber", paper="https://doi.org/10.1214/aoms/1177703732", zero_at_target=True)
class Huber(PairLoss):
    """Squared near zero, linear far away; `delta` is where it turns."""

    def __init__(self, *, delta: Positive = 1.0) -> None:
        super().__init__()
        self.delta = delta

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D, *grid] each."""
        return F.huber_loss(student, target, delta=self.delta)
