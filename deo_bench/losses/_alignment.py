"""Centred kernel alignment of rows of features, from whichever of the two Gram matrices is smaller."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST = 1e-6
"""What a kernel's squared norm counts as at least, so that rows that do not differ have finite gradients."""


def alignment(student: Tensor, target: Tensor, debiased: bool = False) -> Tensor:
    """Linear CKA [...] of rows [..., N, D] and [..., N, E].

    <K, L> / (|K| |L|) of the centred kernels K = H S S^T H and L = H T T^T H, H = I - 1 1^T / N. Rows are centred
    instead of their kernels, which is the same. Both are first divided by their root mean square, a constant to the
    gradient, since alignment does not depend on scale but the clamp of what is divided by does.

    debiased: with the unbiased estimate of each product (HSIC_1, Song et al. 2012), of at least 4 rows.
    """
    one, other = _centred(student), _centred(target)
    lengths = [_product(each, each, debiased).clamp_min(LEAST).sqrt() for each in (one, other)]
    return _product(one, other, debiased) / (lengths[0] * lengths[1])


def _centred(rows: Tensor) -> Tensor:
    scale = rows.detach().square().mean((-2, -1), keepdim=True).sqrt()
    rows = rows / torch.where(scale > 0, scale, 1.0)
    return rows - rows.mean(-2, keepdim=True)


def _product(one: Tensor, other: Tensor, debiased: bool) -> Tensor:
    """<A A^T, B B^T> of centred rows A [..., N, D], B [..., N, E]; debiased, N (N - 3) times HSIC_1."""
    images = one.shape[-2]
    if images**2 < one.shape[-1] * other.shape[-1]:
        whole = ((one @ one.mT) * (other @ other.mT)).sum((-2, -1))
    else:
        whole = (one.mT @ other).square().sum((-2, -1))
    if not debiased:
        return whole
    # Of a centred kernel without its diagonal, the sum of a row is minus what the diagonal had there.
    here, there = one.square().sum(-1), other.square().sum(-1)
    both, each = (here * there).sum(-1), here.sum(-1) * there.sum(-1)
    return whole - both * images / (images - 2) + each / ((images - 1) * (images - 2))
