"""Stems: how pixels of a band set become the trunk's tokens."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.students import Stem, stem


@stem("dual", paper="https://arxiv.org/abs/2602.19863")
class Dual(Stem):
    """A patch embedding for each band set; everything after it is shared (DEO).

    One convolution a band set, kernel and stride `patch`. `norm` adds a LayerNorm of its own to each, as DEO's Swin
    has it (there with the Swin's own `patch_norm` off).
    """

    def __init__(self, band_sets: Mapping[str, tuple[str, ...]], width: int, patch: int, *, norm: bool = False) -> None:
        super().__init__(band_sets, width, patch)
        self.project = nn.ModuleDict(
            {name: nn.Conv2d(len(bands), width, patch, patch) for name, bands in self.band_sets.items()}
        )
        self.norm = nn.ModuleDict({name: nn.LayerNorm(width) for name in self.band_sets} if norm else {})

    def forward(self, pixels: Tensor, sees: str) -> Tensor:
        """Tokens on a grid [B, D, H/patch, W/patch], from the convolution of the band set seen."""
        tokens = self.project[sees](pixels)
        return _normed(tokens, self.norm[sees]) if sees in self.norm else tokens

    def parameters_of(self, sees: str) -> list[nn.Parameter]:
        """The parameters of one band set's convolution and norm."""
        parts = [self.project[sees], *([self.norm[sees]] if sees in self.norm else [])]
        return [parameter for part in parts for parameter in part.parameters()]


@stem("single")
class Single(Stem):
    """One patch embedding over the union of all bands; a band that a set lacks is zero.

    The union keeps the order of first appearance. A missing band is a zero after normalisation, that is, at its mean;
    its weights are left out of the product, which is the same and cheaper. No parameter belongs to one band set
    alone.
    """

    def __init__(self, band_sets: Mapping[str, tuple[str, ...]], width: int, patch: int, *, norm: bool = False) -> None:
        super().__init__(band_sets, width, patch)
        self.bands = tuple(dict.fromkeys(band for bands in self.band_sets.values() for band in bands))
        self.places = {name: [self.bands.index(band) for band in bands] for name, bands in self.band_sets.items()}
        self.project = nn.Conv2d(len(self.bands), width, patch, patch)
        self.norm = nn.LayerNorm(width) if norm else None

    def forward(self, pixels: Tensor, sees: str) -> Tensor:
        """Tokens on a grid [B, D, H/patch, W/patch], from the bands that the set has."""
        weight = self.project.weight[:, self.places[sees]]
        tokens = F.conv2d(pixels, weight, self.project.bias, self.patch)
        return tokens if self.norm is None else _normed(tokens, self.norm)


def _normed(tokens: Tensor, norm: nn.Module) -> Tensor:
    """A norm over the channels of [B, D, h, w]."""
    normed: Tensor = norm(tokens.permute(0, 2, 3, 1))
    return normed.permute(0, 3, 1, 2)
