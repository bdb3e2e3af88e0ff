"""AM-RADIO's adaptors."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge
from torch import Tensor, nn

from deo_bench.declarations import Count
from deo_bench.heads import Head, head


@head("adaptor", paper="https://arxiv.org/abs/2312.06709")
class Adaptor(Head):
    """A head for each teacher, cell by cell, as AM-RADIO has them.

    kind "mlp": linear, layer norm, ReLU, `inner` times (linear, layer norm, ReLU), linear. kind "residual" (its second
    one): linear, `inner` residual blocks (layer norm, GELU, linear), layer norm, GELU, linear; `pre_norm` puts a layer
    norm and GELU before all. Its pixel shuffle to a finer grid is left out: here a term brings maps to one grid.
    `hidden` is the width between. Weights start from a normal of 0.02 truncated at 2, biases from zero.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        *,
        kind: Literal["mlp", "residual"] = "mlp",
        hidden: Count = 2048,
        inner: Annotated[int, Ge(0)] = 0,
        pre_norm: bool = False,
    ) -> None:
        super().__init__()
        self.in_width = in_width
        self.out_width = out_width
        before = [nn.LayerNorm(in_width), nn.GELU()] if pre_norm else []
        between: list[nn.Module]
        if kind == "mlp":
            repeats = [layer for _ in range(inner) for layer in (nn.Linear(hidden, hidden), *_normed_relu(hidden))]
            between = [*_normed_relu(hidden), *repeats]
        else:
            between = [*(Residual(hidden) for _ in range(inner)), nn.LayerNorm(hidden), nn.GELU()]
        self.layers = nn.Sequential(*before, nn.Linear(in_width, hidden), *between, nn.Linear(hidden, out_width))
        for layer in self.layers.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[B, P, *grid] from [B, D, *grid]."""
        cells: Tensor = self.layers(features.movedim(1, -1))
        return cells.movedim(-1, 1)


class Residual(nn.Module):
    """x + linear(gelu(layer norm(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width))

    def forward(self, values: Tensor) -> Tensor:
        """[..., D] from [..., D]."""
        added: Tensor = self.layers(values)
        return values + added


def _normed_relu(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.LayerNorm(width), nn.ReLU()
