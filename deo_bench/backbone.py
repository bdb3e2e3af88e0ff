"""Images in, features out: every backbone picks its bands and normalises exactly once, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn

from deo_bench.errors import UserError, nearest
from deo_bench.features import Features, Images
from deo_bench.normalisation import Normalisation, zscore

_MOST = 1000
"""Blocks or stages that are looked for."""

Normalise = Literal["native", "dataset"]
"""`native`: the backbone's own statistics and unit; `dataset`: the z-score of the images' data set."""


class Backbone(nn.Module):
    """Declares bands in order, normalisation, widths, strides and levels; `forward` is final, `extract` is the
    family's.

    A subclass sets, in its constructor: `band_sets` (name -> bands in order, the first is the default),
    `normalisations` (by band set), `pooled_dims` (name -> D), `default` (the pooled vector meant by default),
    `levels` (`early`, `mid`, `late` -> the family's own number).
    """

    band_sets: dict[str, tuple[str, ...]]
    normalisations: dict[str, Normalisation]
    pooled_dims: dict[str, int]
    default: str = "mean"
    levels: Mapping[str, int] = {}

    @final  # type: ignore[misc]
    def forward(
        self,
        images: Images,
        sees: str | None = None,
        normalise: Normalise = "native",
        levels: Sequence[str] = (),
    ) -> Features:
        """Features of images: pick bands, normalise once, extract.

        sees names one of the backbone's band sets (its first, if none is named); levels are the maps wanted.
        """
        return self.extract(self.prepare(images, sees, normalise), sees or self.first, tuple(levels))

    @final
    def prepare(
        self, images: Images, sees: str | None = None, normalise: Normalise | Normalisation = "native"
    ) -> Tensor:
        """Pixels [B, C, H, W] as `extract` takes them; what the family wants `beside` them stands behind."""
        sees = sees or self.first
        if sees not in self.band_sets:
            raise UserError(f"{type(self).__name__} sees no band set {sees!r}{nearest(sees, self.band_sets)}")
        picked = images.pick(self.band_sets[sees])
        if isinstance(normalise, Normalisation):
            own = normalise.apply(picked)
        elif normalise == "native":
            own = self.normalisations[sees].apply(picked)
        elif picked.mean is None or picked.std is None:
            raise UserError("normalise = 'dataset' needs the data set's own statistics, and these images carry none")
        else:
            own = zscore(picked.pixels, picked.mean, picked.std)
        beside = self.beside(images)
        return own if beside is None else torch.cat([own, beside.to(own)], 1)

    def beside(self, images: Images) -> Tensor | None:
        """What a family takes of the images beside its own bands [B, C', H, W], normalised already; nothing usually."""
        return None

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """Features of normalised pixels [B, C, H, W]; what a family implements."""
        raise NotImplementedError

    @property
    def first(self) -> str:
        """The band set that is meant when none is named."""
        return next(iter(self.band_sets))

    def width(self, place: str) -> int:
        """Channels of a pooled vector or of a level."""
        place = self.default if place == "default" else place
        if place in self.pooled_dims:
            return self.pooled_dims[place]
        return self.map_width(place)

    def map_width(self, level: str) -> int:
        """Channels of a level's map; an error names the levels there are."""
        raise self.no_level(level)

    def stride(self, level: str) -> int:
        """Pixels of the input that one cell of a level's map covers."""
        raise self.no_level(level)

    @property
    def numbered_levels(self) -> tuple[str, ...]:
        """The names of every block or stage, shallow to deep; of a family that numbers none, its own levels."""
        found = []
        for unit in ("block", "stage"):
            for number in range(_MOST):
                try:
                    self.stride(f"{unit}_{number}")
                except UserError:
                    if number:
                        break
                    continue
                found.append(f"{unit}_{number}")
        return tuple(found or self.levels)

    def own_levels(self, count: int) -> tuple[str, ...]:
        """So many levels, shallow to deep, the last among them: a hierarchy's last stages, or blocks evenly spread.

        Of twelve blocks four are `block_2`, `block_5`, `block_8` and `block_11`. A backbone with fewer gives them all,
        one without maps none.
        """
        every = self.numbered_levels
        if len(every) <= count or every[0].startswith("stage"):
            return every[-count:]
        return tuple(every[(place + 1) * len(every) // count - 1] for place in range(count))

    def no_level(self, level: str) -> UserError:
        """The error for a place that this backbone does not have."""
        known = [*self.pooled_dims, *self.levels]
        return UserError(f"{type(self).__name__} has no {level!r}{nearest(level, known)}")
