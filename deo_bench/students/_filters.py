"""Filters of a first layer: which bands they are over, and how they start from those of red, green and blue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.bands import BAND_SETS, is_visible, select
from deo_bench.students import Stem


def inflated(weight: Tensor, bands: tuple[str, ...]) -> Tensor:
    """Filters of red, green and blue [D, 3, k, k] for any bands [D, C, k, k], found by name.

    Red, green and blue get their own, every other band their mean; 3 / C on all of them keeps an image that is equal
    in all bands where it was (with red, green and blue among the bands, the filters' sum is the same).
    """
    filters = [weight[:, select(BAND_SETS["rgb"], [band])[0]] if is_visible(band) else weight.mean(1) for band in bands]
    return torch.stack(filters, 1) * (weight.shape[1] / len(bands))


def start(project: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    """Weights and bias of a convolution; a first layer without a bias is one whose bias is zero."""
    state = {"weight": weight, "bias": weight.new_zeros(len(weight)) if bias is None else bias}
    project.load_state_dict(state)


def union(band_sets: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Every band of some sets, in order of first appearance."""
    return tuple(dict.fromkeys(band for bands in band_sets.values() for band in bands))


def normed(tokens: Tensor, norm: nn.Module) -> Tensor:
    """A norm over the channels of [B, D, h, w]."""
    found: Tensor = norm(tokens.permute(0, 2, 3, 1))
    return found.permute(0, 3, 1, 2)


def seen_groups(groups: Mapping[str, tuple[str, ...]], bands: Sequence[str]) -> list[str]:
    """The groups that a band set has bands of."""
    return [group for group, own in groups.items() if set(own) & set(bands)]


def group_tokens(project: nn.Module, own: tuple[str, ...], bands: Sequence[str], pixels: Tensor, stem: Stem) -> Tensor:
    """Tokens [B, D, h, w] of a group's convolution over its own bands, from those of them that a band set has."""
    chosen = [index for index, band in enumerate(bands) if band in own]
    weight = project.get_parameter("weight")[:, [own.index(bands[index]) for index in chosen]]
    return F.conv2d(pixels[:, chosen], weight, project.get_parameter("bias"), stem.patch, stem.padding)
