"""A bag of pixels: everything that single pixels say, and nothing of where they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deo_bench.declarations import Count
from deo_bench.draws import torch_generator
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher, teacher

CHUNK = 1 << 20
"""Numbers that are held at once."""


@teacher(
    "pixel_bag",
    needs="bands",
    gives=["vectors"],
    weights="none",
    gated=False,
    paper="https://papers.nips.cc/paper/3182",
)
class PixelBag(Teacher):
    """A kernel mean embedding of an image's pixels: random Fourier features (Rahimi and Recht, 2007), averaged.

    The feature of a pixel x is `sqrt(2) cos(w x + b)`, w from a Gaussian whose kernel is as wide as `widths` times
    the square root of the number of bands; the features are shared out among the widths. It is the strongest model of
    the image's spectra that knows no shape: permuting pixels changes nothing. Drawn from the seed alone. No maps. The
    engine hands in a band set (`needs = "bands"`).
    """

    weight: Tensor
    phase: Tensor

    def __init__(
        self,
        band_set: str,
        bands: tuple[str, ...],
        normalisation: Normalisation,
        *,
        features: Count = 384,
        widths: list[float] = (0.1, 0.3, 1.0),  # type: ignore[assignment]
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not widths or min(widths) <= 0:
            raise UserError(f"teacher 'pixel_bag': widths must be above 0, got {list(widths)}")
        self.band_sets = {band_set: tuple(bands)}
        self.normalisations = {band_set: normalisation}
        self.pooled_dims = {"mean": features}
        generator = torch_generator("pixel_bag", seed)
        scale = torch.tensor(list(widths)).repeat(-(-features // len(widths)))[:features] * len(bands) ** 0.5
        weight = torch.randn(len(bands), features, generator=generator) / scale
        self.register_buffer("weight", weight)
        self.register_buffer("phase", torch.rand(features, generator=generator) * 2 * math.pi)

    @torch.no_grad()
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """The mean over the pixels, image by image where they are large."""
        for level in levels:
            raise self.no_level(level)
        rows = pixels.flatten(2).transpose(1, 2)
        images = max(CHUNK // (rows.shape[1] * len(self.phase)), 1)
        return Features({"mean": torch.cat([self._bag(chunk) for chunk in rows.split(images)])})

    def _bag(self, rows: Tensor) -> Tensor:
        response = rows @ self.weight.to(rows) + self.phase.to(rows)
        return response.cos_().mean(1) * math.sqrt(2)
