"""A small decoder, for what lies in a cell's neighbourhood."""

from __future__ import annotations

from torch import Tensor, nn

from deo_bench.declarations import Count
from deo_bench.heads import Head, head


@head("decoder", mixes_cells=True)
class Decoder(Head):
    """A few convolutional blocks that look at a cell's neighbours: for reconstruction, as `mae_pix` asks for.

    Linear to `hidden`, `depth` residual blocks (depthwise 3 x 3 convolution, layer norm, linear to four times as many,
    GELU, linear: ConvNeXt's with a smaller kernel), layer norm, linear. MAE's decoder is eight transformer blocks of
    512, since its encoder never sees masked cells; here the student does (as mask tokens), and has already related
    every cell to the others, so two blocks of 256 are enough for what lies between neighbours. Any grid; a vector is a
    grid of one cell. Weights start from a normal of 0.02 truncated at 2, biases from zero.
    """

    def __init__(self, in_width: int, out_width: int, *, hidden: Count = 256, depth: Count = 2) -> None:
        super().__init__()
        self.in_width = in_width
        self.out_width = out_width
        self.first = nn.Linear(in_width, hidden)
        self.blocks = nn.ModuleList(Block(hidden) for _ in range(depth))
        self.last = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, out_width))
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[B, P, *grid] from [B, D, *grid]."""
        maps = features if features.ndim == 4 else features[:, :, None, None]
        cells = self.first(maps.movedim(1, -1))
        for block in self.blocks:
            cells = block(cells)
        out: Tensor = self.last(cells)
        return out.movedim(-1, 1).reshape(len(features), self.out_width, *features.shape[2:])


class Block(nn.Module):
    """x + mlp(layer norm(depthwise 3 x 3 convolution(x))) of cells [B, h, w, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, cells: Tensor) -> Tensor:
        """[B, h, w, D] from [B, h, w, D]."""
        near = self.around(cells.movedim(-1, 1)).movedim(1, -1)
        added: Tensor = self.inner(near)
        return cells + added
