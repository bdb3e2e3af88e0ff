"""Stems: how pixels of a band set become the trunk's tokens."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.bands import is_visible
from deo_bench.students import Stem, stem
from deo_bench.students._filters import group_tokens, inflated, normed, seen_groups, start, union


@stem("dual", paper="https://arxiv.org/abs/2602.19863")
class Dual(Stem):
    """A patch embedding for each band set; everything after it is shared (DEO).

    One convolution a band set, kernel and stride `patch`. `norm` adds a LayerNorm of its own to each, as DEO's Swin
    has it (there with the Swin's own `patch_norm` off).
    """

    def __init__(
        self,
        band_sets: Mapping[str, tuple[str, ...]],
        width: int,
        patch: int,
        kernel: int | None = None,
        *,
        norm: bool = False,
    ) -> None:
        super().__init__(band_sets, width, patch, kernel)
        self.project = nn.ModuleDict(
            {
                name: nn.Conv2d(len(bands), width, self.kernel, patch, self.padding)
                for name, bands in self.band_sets.items()
            }
        )
        self.norm = nn.ModuleDict({name: nn.LayerNorm(width) for name in self.band_sets} if norm else {})

    def forward(self, pixels: Tensor, sees: str) -> Tensor:
        """Tokens on a grid [B, D, H/patch, W/patch], from the convolution of the band set seen."""
        tokens = self.project[sees](pixels)
        return normed(tokens, self.norm[sees]) if sees in self.norm else tokens

    def parameters_of(self, sees: str) -> list[nn.Parameter]:
        """The parameters of one band set's convolution and norm."""
        parts = [self.project[sees], *([self.norm[sees]] if sees in self.norm else [])]
        return [parameter for part in parts for parameter in part.parameters()]

    def inflate(self, weight: Tensor, bias: Tensor | None) -> None:
        """Each band set's convolution starts from the filters of red, green and blue."""
        for name, bands in self.band_sets.items():
            start(self.project[name], inflated(weight, bands), bias)


@stem("single")
class Single(Stem):
    """One patch embedding over the union of all bands; a band that a set lacks is zero.

    The union keeps the order of first appearance. A missing band is a zero after normalisation, that is, at its mean;
    its weights are left out of the product, which is the same and cheaper. No parameter belongs to one band set
    alone.
    """

    def __init__(
        self,
        band_sets: Mapping[str, tuple[str, ...]],
        width: int,
        patch: int,
        kernel: int | None = None,
        *,
        norm: bool = False,
    ) -> None:
        super().__init__(band_sets, width, patch, kernel)
        self.bands = union(self.band_sets)
        self.places = {name: [self.bands.index(band) for band in bands] for name, bands in self.band_sets.items()}
        self.project = nn.Conv2d(len(self.bands), width, self.kernel, patch, self.padding)
        self.norm = nn.LayerNorm(width) if norm else None

    def forward(self, pixels: Tensor, sees: str) -> Tensor:
        """Tokens on a grid [B, D, H/patch, W/patch], from the bands that the set has."""
        weight = self.project.weight[:, self.places[sees]]
        tokens = F.conv2d(pixels, weight, self.project.bias, self.patch, self.padding)
        return tokens if self.norm is None else normed(tokens, self.norm)

    def inflate(self, weight: Tensor, bias: Tensor | None) -> None:
        """The convolution over the union starts from the filters of red, green and blue."""
        start(self.project, inflated(weight, self.bands), bias)


@stem("summed")
class Summed(Stem):
    """A patch embedding for red, green and blue, another for all other bands, and their sum (3 + 7 of ten bands).

    A band set that lacks a group's bands goes without that group's embedding; one that has some of them goes through
    the weights of those. A sum of convolutions is a convolution: without `norm` this is `single` but for a bias a
    group and the scale that each group starts at, which is that of its own number of bands. `norm` puts a LayerNorm
    on each group before the sum, which `single` cannot express.
    """

    def __init__(
        self,
        band_sets: Mapping[str, tuple[str, ...]],
        width: int,
        patch: int,
        kernel: int | None = None,
        *,
        norm: bool = False,
    ) -> None:
        super().__init__(band_sets, width, patch, kernel)
        every = union(self.band_sets)
        groups = {
            "visible": tuple(band for band in every if is_visible(band)),
            "others": tuple(band for band in every if not is_visible(band)),
        }
        self.groups = {group: bands for group, bands in groups.items() if bands}
        project = {
            group: nn.Conv2d(len(bands), width, self.kernel, patch, self.padding)
            for group, bands in self.groups.items()
        }
        self.project = nn.ModuleDict(project)
        self.norm = nn.ModuleDict({group: nn.LayerNorm(width) for group in self.groups} if norm else {})

    def forward(self, pixels: Tensor, sees: str) -> Tensor:
        """Tokens on a grid [B, D, H/patch, W/patch]: the sum over the groups that the band set has bands of."""
        return torch.stack([self._tokens(group, pixels, sees) for group in self._seen(sees)]).sum(0)

    def parameters_of(self, sees: str) -> list[nn.Parameter]:
        """The parameters of the groups that no other band set has bands of."""
        shared = {group for other in self.band_sets if other != sees for group in self._seen(other)}
        own = [group for group in self._seen(sees) if group not in shared]
        parts = [table[group] for group in own for table in (self.project, self.norm) if group in table]
        return [parameter for part in parts for parameter in part.parameters()]

    def inflate(self, weight: Tensor, bias: Tensor | None) -> None:
        """Both convolutions start from the filters of red, green and blue; the bias is the first group's alone."""
        every = tuple(band for bands in self.groups.values() for band in bands)
        parts = inflated(weight, every).split([len(bands) for bands in self.groups.values()], 1)
        for number, (group, part) in enumerate(zip(self.groups, parts, strict=True)):
            start(self.project[group], part, None if number else bias)

    def _seen(self, sees: str) -> list[str]:
        return seen_groups(self.groups, self.band_sets[sees])

    def _tokens(self, group: str, pixels: Tensor, sees: str) -> Tensor:
        tokens = group_tokens(self.project[group], self.groups[group], self.band_sets[sees], pixels, self)
        return normed(tokens, self.norm[group]) if group in self.norm else tokens
