"""A stem that embeds groups of bands apart, each group to tokens of its own on the same grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from deo_bench.bands import BANDS
from deo_bench.students import Stem, stem
from deo_bench.students._filters import group_tokens, inflated, normed, seen_groups, start, union

GROUPS = ("visible_nir", "red_edge", "shortwave", "radar")
RED_EDGE = ("B05", "B06", "B07", "B8A", "B09")


@stem("channel_groups", paper="https://arxiv.org/abs/2207.08051", groups=True)
class ChannelGroups(Stem):
    """A patch embedding for each group of bands, each to tokens of its own: a cell has a token a group (SatMAE).

    SatMAE's groups for ten bands: `visible_nir` (B02, B03, B04, B08), `red_edge` (B05, B06, B07, B8A) and `shortwave`
    (B11, B12). Bands that it leaves out go where their wavelengths are: B01 to the first, water vapour (B09) to the
    second, cirrus (B10) to the third; Landsat's L1 to L5 and a photograph's colours to the first, L6 and L7 to the
    third; radar is a fourth. A band set has the groups that it has bands of, `rgb` therefore one; one that has some
    of a group's bands goes through the weights of those.

    It is for a student that takes several tokens a cell: `vit_*` and `vit_moe*` attend over all of them (for ten bands
    three times the tokens and more than three times the computation), share positions over the groups, mask a cell in
    all groups at once (SatMAE's consistent masking), and give means over the groups as maps and pooled `mean`. Band
    sets of different numbers of groups pass the trunk apart.

    encoding: what tells the groups apart, added to their tokens, masked ones too: `learned`, a vector a group that
    starts near zero, or `sinusoidal`, fixed sines and cosines of its number, as SatMAE has them (there on a part of the
    channels, behind narrower positions). norm: a LayerNorm of its own for each group.
    """

    def __init__(
        self,
        band_sets: Mapping[str, tuple[str, ...]],
        width: int,
        patch: int,
        kernel: int | None = None,
        *,
        encoding: Literal["learned", "sinusoidal"] = "learned",
        norm: bool = False,
    ) -> None:
        super().__init__(band_sets, width, patch, kernel)
        every = union(self.band_sets)
        self.bands = {group: tuple(band for band in every if group_of(band) == group) for group in GROUPS}
        self.bands = {group: bands for group, bands in self.bands.items() if bands}
        self.project = nn.ModuleDict(
            {
                group: nn.Conv2d(len(bands), width, self.kernel, patch, self.padding)
                for group, bands in self.bands.items()
            }
        )
        self.norm = nn.ModuleDict({group: nn.LayerNorm(width) for group in self.bands} if norm else {})
        self.encoding = nn.ParameterDict()
        for number, group in enumerate(GROUPS):
            if encoding == "sinusoidal":
                self.register_buffer(f"code_{group}", _sinusoids(number, width), persistent=False)
            elif group in self.bands:
                self.encoding[group] = nn.Parameter(0.02 * torch.randn(width))

    def forward(self, pixels: Tensor, sees: str) -> Tensor:
        """Tokens [B, D, G, H/patch, W/patch], a group after the other, each with its encoding."""
        tokens = torch.stack([self._tokens(group, pixels, sees) for group in self._seen(sees)], 2)
        return tokens + self.encodings_of(sees).T[:, :, None, None]

    def groups_of(self, sees: str) -> int:
        """How many groups the band set has bands of."""
        return len(self._seen(sees))

    def encodings_of(self, sees: str) -> Tensor:
        """What is added to each group's tokens [G, D]."""
        return torch.stack(
            [
                self.encoding[group] if group in self.encoding else self.get_buffer(f"code_{group}")
                for group in self._seen(sees)
            ]
        )

    def parameters_of(self, sees: str) -> list[nn.Parameter]:
        """The parameters of the groups that no other band set has bands of."""
        shared = {group for other in self.band_sets if other != sees for group in self._seen(other)}
        own = [group for group in self._seen(sees) if group not in shared]
        parts = [table[group] for group in own for table in (self.project, self.norm) if group in table]
        codes = [self.encoding[group] for group in own if group in self.encoding]
        return [*(parameter for part in parts for parameter in part.parameters()), *codes]

    def inflate(self, weight: Tensor, bias: Tensor | None) -> None:
        """Each group's convolution starts from the filters of red, green and blue; groups are no sum, so each whole."""
        for group, bands in self.bands.items():
            start(self.project[group], inflated(weight, bands), bias)

    def _seen(self, sees: str) -> list[str]:
        return seen_groups(self.bands, self.band_sets[sees])

    def _tokens(self, group: str, pixels: Tensor, sees: str) -> Tensor:
        tokens = group_tokens(self.project[group], self.bands[group], self.band_sets[sees], pixels, self)
        return normed(tokens, self.norm[group]) if group in self.norm else tokens


def group_of(band: str) -> str:
    """The group of a band: SatMAE's where it has one, else the one of its wavelength."""
    wavelength = BANDS[band].wavelength
    if not wavelength:
        return "radar"
    if band in RED_EDGE:
        return "red_edge"
    return "visible_nir" if wavelength < 1000 else "shortwave"


def _sinusoids(number: int, width: int) -> Tensor:
    """Sines and cosines [D] of a group's number, at frequencies from 1 down to 1/10,000."""
    half = (width + 1) // 2
    angles = number * 10_000 ** -(torch.arange(half, dtype=torch.float64) / half)
    return torch.cat([angles.sin(), angles.cos()])[:width].float()
