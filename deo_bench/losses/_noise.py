"""Noise that belongs to an image: its draws are its own, whoever else is in the batch and however it is split."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Steele, Lea and Flood 2014: the increment and the finaliser of SplitMix64, as signed numbers of 64 bits.
_STEP = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64
_BITS = 24


def key_of(generator: torch.Generator) -> int:
    """A key of 63 bits, the only draw from a generator."""
    return int(torch.randint(2**63 - 1, (), generator=generator))


def uniform(key: int, index: Tensor, count: int) -> Tensor:
    """Numbers in (0, 1) for images by their index [B]: [B, count] in float32, on the index's device."""
    return _fraction(_hashes(key, index, count), 40)


def gaussian(key: int, index: Tensor, count: int) -> Tensor:
    """Standard normal numbers for images by their index [B]: [B, count] in float32, on the index's device.

    Box and Muller's two from one hash.
    """
    hashes = _hashes(key, index, (count + 1) // 2)
    length = (-2 * _fraction(hashes, 40).log()).sqrt()
    angle = 2 * math.pi * _fraction(hashes, 16)
    return torch.cat([length * angle.cos(), length * angle.sin()], 1)[:, :count]


def _hashes(key: int, index: Tensor, count: int) -> Tensor:
    """SplitMix64 [B, count]: a stream an image, which starts where the hash of key and index says."""
    starts = _mixed(_mixed(index.long() * _STEP + key))
    places = torch.arange(1, count + 1, device=index.device) * _STEP
    return _mixed(starts[:, None] + places)


def _mixed(values: Tensor) -> Tensor:
    values = (values ^ _shifted(values, 30)) * _FIRST
    values = (values ^ _shifted(values, 27)) * _SECOND
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, by: int) -> Tensor:
    """To the right with zeros: torch's own shift keeps the sign."""
    return (values >> by) & (2 ** (64 - by) - 1)


def _fraction(hashes: Tensor, at: int) -> Tensor:
    """24 bits of each from a place on, as the middle of their interval of (0, 1)."""
    return (((hashes >> at) & (2**_BITS - 1)).float() + 0.5) / 2**_BITS
