"""No transform."""

from __future__ import annotations

from torch import Tensor

from deo_bench.targets import Target, target


@target("none")
class NoTransform(Target):
    """The teacher's features as they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, features: Tensor) -> Tensor:
        """What was given."""
        return features

    def inverse(self, features: Tensor) -> Tensor:
        """What was given."""
        return features
