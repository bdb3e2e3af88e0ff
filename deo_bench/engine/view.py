"""How a task's images reach a backbone under a protocol: their size, the bands that lack, the normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deo_bench.backbone import Backbone
from deo_bench.bands import has_bands
from deo_bench.engine.checks import warn_of_units
from deo_bench.errors import UserError
from deo_bench.features import Features, Images
from deo_bench.probes.record import ProtocolRecord


@dataclass(frozen=True)
class View:
    """A protocol's way to show images, and the band set that a backbone is shown; absent: bands taken away."""

    protocol: ProtocolRecord
    bands: str
    absent: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """What of it defines features, for the cache."""
        protocol = self.protocol
        told = {
            "bands": self.bands,
            "size": protocol.size,
            "interpolation": protocol.interpolation,
            "normalise": protocol.normalise,
        }
        more: dict[str, Any] = {"absent": list(self.absent), "pad": protocol.pad}
        return told | {key: value for key, value in more.items() if value}

    def features(self, backbone: Backbone, images: Images, levels: Sequence[str] = ()) -> Features:
        """Features of images at the protocol's size; a band that is absent or lacks is 0 once normalised: its mean."""
        images = self.sized(images)
        missing = self._missing(backbone, images)
        if not missing and not self.absent:
            return backbone(images, self.bands, normalise=self.protocol.normalise, levels=tuple(levels))
        return backbone.extract(self.pixels(backbone, images), self.bands, tuple(levels))

    def pixels(self, backbone: Backbone, images: Images) -> Tensor:
        """Normalised pixels as `extract` takes them, of images of the right size."""
        missing = self._missing(backbone, images)
        pixels = backbone.prepare(_with(images, missing), self.bands, self.protocol.normalise)
        wanted = backbone.band_sets[self.bands]
        places = [place for place, band in enumerate(wanted) if has_bands((*missing, *self.absent), (band,))]
        if len(places) == len(wanted):
            raise UserError(f"every band of {self.bands!r} is absent; nothing would be left to see")
        if places and pixels.shape[1] > len(wanted):
            who = type(backbone).__name__
            raise UserError(f"{who} is shown more than its own bands; a protocol cannot take that away or fill it in")
        if places:
            pixels = pixels.clone()
            pixels[:, places] = 0
        return pixels

    def sized(self, images: Images) -> Images:
        """Images at the protocol's size; `native` leaves them."""
        size = self.protocol.size
        if size is None or images.pixels.shape[-2:] == (size, size):
            return images
        aligned: Mapping[str, Any] = {} if self.protocol.interpolation == "nearest" else {"align_corners": False}
        mode = self.protocol.interpolation
        return replace(images, pixels=functional.interpolate(images.pixels, size=(size, size), mode=mode, **aligned))

    def warn(self, backbone: Backbone, images: Images, name: str) -> None:
        """Look at a first batch: a wrong unit shows in its normalised pixels."""
        if not self._missing(backbone, images) and not self.absent:
            warn_of_units(backbone, self.sized(images), self.bands, self.protocol.normalise, name)

    def _missing(self, backbone: Backbone, images: Images) -> list[str]:
        """Bands that a backbone wants and the images lack, where a protocol fills them in."""
        if not self.protocol.pad or self.bands not in backbone.band_sets:
            return []
        return [band for band in backbone.band_sets[self.bands] if not has_bands(images.bands, (band,))]


def _with(images: Images, missing: Sequence[str]) -> Images:
    """The images with bands of zeros behind their own, whose mean is 0 and spread 1."""
    if not missing:
        return images
    zeros = images.pixels.new_zeros(len(images.pixels), len(missing), *images.pixels.shape[2:])

    def longer(values: Tensor | None, fill: float) -> Tensor | None:
        return None if values is None else torch.cat([values, values.new_full((len(missing),), fill)])

    pixels = torch.cat([images.pixels, zeros], 1)
    mean, std = longer(images.mean, 0.0), longer(images.std, 1.0)
    return replace(images, pixels=pixels, bands=(*images.bands, *missing), mean=mean, std=std)
