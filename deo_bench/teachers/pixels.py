"""The pixels themselves as maps: what a classifier of single pixels has to go by, where labels are maps."""

from __future__ import annotations

import torch
from torch import Tensor

from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher, teacher


@teacher("pixels", needs="bands", gives=["maps"], weights="none", gated=False)
class Pixels(Teacher):
    """Normalised pixels as the map `late`, at full resolution: a linear head on them is a classifier of spectra.

    The trivial baseline of segmentation and change detection, where vectors have `image_stats` and `pixel_bag`; it
    is scored on maps alone. The engine hands in a band set (`needs = "bands"`).
    """

    def __init__(self, band_set: str, bands: tuple[str, ...], normalisation: Normalisation) -> None:
        super().__init__()
        self.band_sets = {band_set: tuple(bands)}
        self.normalisations = {band_set: normalisation}
        self.pooled_dims = {"mean": len(bands)}
        self.levels = {"late": 0}

    @torch.no_grad()
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """The pixels, and their mean."""
        for level in levels:
            self.map_width(level)
        return Features({"mean": pixels.mean((2, 3))}, dict.fromkeys(levels, pixels.detach()), self.default)

    def map_width(self, level: str) -> int:
        """A channel a band."""
        if level not in self.levels:
            raise self.no_level(level)
        return self.pooled_dims["mean"]

    def stride(self, level: str) -> int:
        """A cell is a pixel."""
        self.map_width(level)
        return 1
