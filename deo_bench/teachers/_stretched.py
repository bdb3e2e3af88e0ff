"""Normalisation of bands that were stretched to [0, 1] and clipped there before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deo_bench.bands import WHITE, Unit
from deo_bench.normalisation import Normalisation

if TYPE_CHECKING:
    from torch import Tensor

    from deo_bench.features import Images


@dataclass(frozen=True)
class Stretched(Normalisation):
    """`Normalisation`, its z-scores held between `low` and `high`, a number a band each."""

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def apply(self, images: Images) -> Tensor:
        """Normalised pixels [B, C, H, W] of images whose bands are already picked."""
        scores = super().apply(images)
        low, high = (scores.new_tensor(bound).view(1, -1, 1, 1) for bound in (self.low, self.high))
        return scores.clamp(low, high)


def stretched(
    unit: Unit,
    black: Sequence[float],
    full: Sequence[float],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    white: float = WHITE,
) -> Stretched:
    """`black` to `full` in `unit` becomes 0 to 1, clipped; then minus `mean`, over `std` (0 and 1 where left out).

    white: the reflectance that 255 stands for where red, green and blue come in 8 bits.
    """
    mean, std = mean or [0.0] * len(black), std or [1.0] * len(black)
    bands = list(zip(black, full, mean, std, strict=True))
    return Stretched(
        unit,
        tuple(dark + m * (bright - dark) for dark, bright, m, _ in bands),
        tuple(s * (bright - dark) for dark, bright, _, s in bands),
        white,
        low=tuple((0 - m) / s for *_, m, s in bands),
        high=tuple((1 - m) / s for *_, m, s in bands),
    )
