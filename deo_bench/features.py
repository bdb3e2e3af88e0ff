"""What a backbone is given and what it says: images with bands and a unit, pooled vectors and maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deo_bench.bands import Unit, select
from deo_bench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

POOLED = ("default", "cls", "mean", "projected")
"""The names that a pooled vector can have; `default` is whichever the backbone declares. Any other name is a level."""


@dataclass(frozen=True)
class Images:
    """A batch of images with what is needed to read it.

    pixels: [B, C, H, W], floating; bands: C canonical names; unit: of the pixels; mean, std: [C] statistics of the data
    set in the same unit, where a protocol normalises by them; fine: the same ground in RGB at a finer resolution, or
    none; rgb_unit: of red, green and blue where it is another than the other bands'.
    """

    pixels: Tensor
    bands: tuple[str, ...]
    unit: Unit
    mean: Tensor | None = None
    std: Tensor | None = None
    fine: Images | None = None
    rgb_unit: Unit | None = None

    def pick(self, bands: Sequence[str]) -> Images:
        """The same images with these bands in this order."""
        if tuple(bands) == self.bands:
            return self
        order = select(self.bands, bands)
        mean = None if self.mean is None else self.mean[order]
        std = None if self.std is None else self.std[order]
        return replace(self, pixels=self.pixels[:, order], bands=tuple(bands), mean=mean, std=std)


@dataclass(frozen=True)
class Features:
    """What a backbone says of a batch.

    pooled: named vectors [B, D]; maps: named levels [B, C, H, W], prefix tokens removed; default: the pooled vector
    that is meant when none is named; last: what the vectors are pooled from, as the family lays it out (prefix tokens
    included), or none where it is not said.
    """

    pooled: Mapping[str, Tensor]
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    default: str = "mean"
    last: Tensor | None = None

    def get(self, name: str) -> Tensor:
        """A pooled vector [B, D] or a map [B, C, H, W] by name."""
        name = self.default if name == "default" else name
        if name in self.pooled:
            return self.pooled[name]
        if name in self.maps:
            return self.maps[name]
        raise UserError(f"these features have no {name!r}; they have {', '.join([*self.pooled, *self.maps])}")

    def slice(self, start: int, stop: int) -> Features:
        """The features of images start to stop."""
        return Features(
            {name: value[start:stop] for name, value in self.pooled.items()},
            {name: value[start:stop] for name, value in self.maps.items()},
            self.default,
        )


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    import torch

    return values if values.dtype in (torch.float32, torch.float64) else values.float()
