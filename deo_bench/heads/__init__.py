"""What a head is: it projects student features into a target's space, and belongs to the objective."""

from __future__ import annotations

from torch import Tensor, nn

from deo_bench.registry import decorator


class Head(nn.Module):
    """`__init__(in_width, out_width, *, options)`; `forward` maps [..., D, *grid] of one level to [..., P, *grid].

    Input is [B, D] or [B, D, H, W]; output keeps the batch and the grid. A head that takes several levels together
    declares the fact `takes_levels` and is given a list of widths and a list of tensors; one that looks at a cell's
    neighbours declares `mixes_cells`.
    """

    in_width: int
    out_width: int
    version = 1

    def forward(self, features: Tensor) -> Tensor:
        """Features in the target's space."""
        raise NotImplementedError


head = decorator("head", Head)
