"""One linear layer."""

from __future__ import annotations

from torch import Tensor, nn

from deo_bench.heads import Head, head


@head("linear")
class Linear(Head):
    """One linear layer, cell by cell: what the target says must then lie plainly in the student's features.

    Weights start from a normal of 0.02 truncated at 2, as those of `mlp`, biases from zero.
    """

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.in_width = in_width
        self.out_width = out_width
        self.layer = nn.Linear(in_width, out_width)
        nn.init.trunc_normal_(self.layer.weight, std=0.02)
        nn.init.zeros_(self.layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[B, P, *grid] from [B, D, *grid]."""
        projected: Tensor = self.layer(features.movedim(1, -1))
        return projected.movedim(-1, 1)
