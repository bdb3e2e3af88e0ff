"""Mean and standard deviation of every band: the least that a backbone must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher, teacher


@teacher("image_stats", needs="bands", gives=["vectors"], weights="none", gated=False)
class ImageStats(Teacher):
    """The mean and the standard deviation of each band over an image, [2 C]; a baseline without training.

    The fact `needs = "bands"`: the engine hands in the name of a band set, its bands in order and their
    normalisation, before the options. No maps.
    """

    def __init__(self, band_set: str, bands: tuple[str, ...], normalisation: Normalisation) -> None:
        super().__init__()
        self.band_sets = {band_set: tuple(bands)}
        self.normalisations = {band_set: normalisation}
        self.pooled_dims = {"mean": 2 * len(bands)}

    @torch.no_grad()
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """Means, then standard deviations."""
        for level in levels:
            raise self.no_level(level)
        return Features({"mean": torch.cat([pixels.mean((2, 3)), pixels.std((2, 3), correction=0)], 1)})
