"""No head."""

from __future__ import annotations

from torch import Tensor

from deo_bench.heads import Head, head


@head("identity")
class Identity(Head):
    """The student's features as they are; the target must have their width."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        if in_width != out_width:
            raise ValueError(f"the student's width is {in_width} and the target's {out_width}; a head 'mlp' joins them")
        self.in_width = in_width
        self.out_width = out_width

    def forward(self, features: Tensor) -> Tensor:
        """What was given."""
        return features
