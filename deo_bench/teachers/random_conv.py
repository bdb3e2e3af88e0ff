"""Random convolutions: texture and colour without any training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Count
from deo_bench.draws import torch_generator
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher, teacher

CELL = 4
"""Side of a map's cells in pixels."""

CHUNK = 1 << 20
"""Responses that are held at once: few enough to stay in a processor's cache, which is three times faster."""


@teacher("random_conv", needs="bands", weights="none", gated=False, paper="https://doi.org/10.1038/s41467-021-24638-z")
class RandomConv(Teacher):
    """Random convolutional features (MOSAIKS, Rolf et al., 2021), with Gaussian filters instead of patches of the data.

    Each filter's response, rectified on either side of a random threshold, is averaged over the image: `features`
    numbers from half as many filters. Filters and thresholds have unit variance on white pixels and are drawn from
    the seed alone. Borders are left out. The map `late` holds the same in cells of 4 pixels, its borders padded. The
    engine hands in a band set (`needs = "bands"`).

    features: an even number; kernel: the filters' side in pixels.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        band_set: str,
        bands: tuple[str, ...],
        normalisation: Normalisation,
        *,
        features: Count = 512,
        kernel: Count = 3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if features % 2:
            raise UserError(f"teacher 'random_conv': features must be even, got {features}")
        self.band_sets = {band_set: tuple(bands)}
        self.normalisations = {band_set: normalisation}
        self.pooled_dims = {"mean": features}
        self.levels = {"late": 0}
        generator = torch_generator("random_conv", seed)
        fan_in = len(bands) * kernel**2
        weight = torch.randn(features // 2, len(bands), kernel, kernel, generator=generator) / fan_in**0.5
        self.register_buffer("weight", weight)
        self.register_buffer("bias", torch.randn(features // 2, generator=generator))

    @torch.no_grad()
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """Mean of the positive part of every response, then of its negative part."""
        for level in levels:
            self.map_width(level)
        images = max(CHUNK // (len(self.weight) * pixels[0, 0].numel()), 1)
        maps = {level: torch.cat([self._cells(chunk) for chunk in pixels.split(images)]) for level in levels}
        return Features({"mean": torch.cat([self._responses(chunk) for chunk in pixels.split(images)])}, maps)

    def map_width(self, level: str) -> int:
        """As many channels as the vector has numbers."""
        if level not in self.levels:
            raise self.no_level(level)
        return self.pooled_dims["mean"]

    def stride(self, level: str) -> int:
        """The cell."""
        self.map_width(level)
        return CELL

    def _cells(self, pixels: Tensor) -> Tensor:
        response = F.conv2d(pixels, self.weight.to(pixels), self.bias.to(pixels), padding="same")
        positive = F.avg_pool2d(response.relu(), CELL)
        return torch.cat([positive, positive - F.avg_pool2d(response, CELL)], 1)

    def _responses(self, pixels: Tensor) -> Tensor:
        response = F.conv2d(pixels, self.weight.to(pixels), self.bias.to(pixels)).flatten(2)
        positive = response.relu().mean(2)
        return torch.cat([positive, positive - response.mean(2)], 1)
