"""A stem whose weights are made from the bands' centre wavelengths: one set of weights for every band set."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.bands import BANDS
from deo_bench.declarations import Count
from deo_bench.errors import UserError
from deo_bench.students import Stem, stem

HEADS = 4


@stem("wavelength", paper="https://arxiv.org/abs/2403.15356")
class Wavelength(Stem):
    """A patch embedding whose weights a small network makes from the bands' centre wavelengths (DOFA).

    Each band is a token of `dim` sines and cosines of its wavelength in nm, through a residual layer of two. With
    learned context tokens and one for the bias it passes `layers` attention blocks without positions, so the order of
    bands means nothing; a linear map then takes each band's token to its filter and the last one to the bias. No
    parameter is of one band, so any band set that has wavelengths will do, and none belongs to one band set alone.

    Where this is not DOFA's code: blocks are pre-norm, and instead of a constant .01 filters are divided by the root
    of the pixels that they sum over, so that tokens start at a convolution's scale for any number of bands. Radar has
    no centre wavelength here and is refused.

    dim: of the tokens, a multiple of 4 (DOFA: 128); layers: attention blocks; tokens: how many the context has.
    """

    def __init__(
        self,
        band_sets: Mapping[str, tuple[str, ...]],
        width: int,
        patch: int,
        kernel: int | None = None,
        *,
        dim: Count = 64,
        layers: Count = 1,
        tokens: Count = 128,
    ) -> None:
        super().__init__(band_sets, width, patch, kernel)
        if dim % HEADS:
            raise UserError(f"stem 'wavelength': dim {dim} is not a multiple of {HEADS}")
        for name, bands in self.band_sets.items():
            self.register_buffer(f"waves_{name}", _waves(bands, dim), persistent=False)
        self.residual = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())
        self.context = nn.Parameter(0.02 * torch.randn(tokens, dim))
        self.bias_token = nn.Parameter(0.02 * torch.randn(1, dim))
        self.blocks = nn.Sequential(*(Block(dim, HEADS, qkv_bias=True) for _ in range(layers)))
        self.norm = nn.LayerNorm(dim)
        self.to_filter = nn.Linear(dim, width * self.kernel**2)
        self.to_bias = nn.Linear(dim, width)

    def forward(self, pixels: Tensor, sees: str) -> Tensor:
        """Tokens on a grid [B, D, H/patch, W/patch], by the convolution made for the band set seen."""
        weight, bias = self.made(sees)
        return F.conv2d(pixels, weight, bias, self.patch, self.padding)

    def made(self, sees: str) -> tuple[Tensor, Tensor]:
        """The convolution's weight [D, C, k, k] and bias [D] for a band set."""
        waves = self.get_buffer(f"waves_{sees}")
        waves = waves + self.residual(waves)
        known = self.norm(self.blocks(torch.cat([self.context, waves, self.bias_token])[None])[0])
        filters = self.to_filter(known[len(self.context) : -1]).view(-1, self.width, self.kernel, self.kernel)
        scale = (len(waves) * self.kernel**2) ** -0.5
        return filters.transpose(0, 1) * scale, self.to_bias(known[-1]) * scale


def _waves(bands: tuple[str, ...], dim: int) -> Tensor:
    """Sines and cosines [C, dim] of wavelengths in nm, at frequencies from 1 down to 1/10,000."""
    lacking = [band for band in bands if not BANDS[band].wavelength]
    if lacking:
        raise UserError(f"stem 'wavelength': {', '.join(lacking)} has no centre wavelength; take another stem")
    lengths = torch.tensor([BANDS[band].wavelength for band in bands], dtype=torch.float64)
    frequencies = 10_000 ** -(torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))
    angles = lengths[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1).float()
