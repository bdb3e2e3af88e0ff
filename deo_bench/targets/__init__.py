"""What a target transform is: it brings a teacher's features into the space that a loss compares in."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from deo_bench.registry import decorator


class Target(nn.Module):
    """`__init__(width, *, options)`; fitted once on a stream of teacher features, then fixed.

    What is fitted lives in buffers, so that it is saved with the run (`targets.safetensors`). The fact `needs_fit`
    (false if left out) says whether there is anything to fit. A width that it cannot serve is a ValueError when it is
    built.
    """

    width: int
    version = 1

    def fit(self, features: Iterable[Tensor]) -> None:
        """Fit on chunks [n, D] (a map's cells are rows); one pass, in float64."""

    def forward(self, features: Tensor) -> Tensor:
        """Transformed features, shape as given: [..., D, *grid] with the channels second ([B, D] or [B, D, H, W])."""
        raise NotImplementedError

    def inverse(self, features: Tensor) -> Tensor:
        """The features that `forward` made these of, where it can be undone."""
        raise NotImplementedError


target = decorator("target", Target)
