"""Mean, variances and covariance of a stream of features, in one pass and in float64."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def variances(features: Iterable[Tensor], width: int) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased variances [D] of chunks [n, D]."""
    mean, squares, count = _gathered(features, width, is_joint=False)
    return mean, squares / (count - 1)


def covariance(features: Iterable[Tensor], width: int) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased covariance [D, D] of chunks [n, D]."""
    mean, products, count = _gathered(features, width, is_joint=True)
    return mean, products / (count - 1)


def _gathered(features: Iterable[Tensor], width: int, is_joint: bool) -> tuple[Tensor, Tensor, int]:
    """Mean, summed squares (or products) about it, and the count; chunks are merged (Chan, Golub and LeVeque 1979)."""
    count, mean = 0, torch.zeros(width).double()
    squares = torch.zeros((width, width) if is_joint else (width,)).double()
    for chunk in features:
        rows = _checked(chunk, width)
        if not len(rows):
            continue
        here = rows.mean(0)
        about, shift = rows - here, here.cpu() - mean
        total = count + len(rows)
        share = count * len(rows) / total
        if is_joint:
            squares += (about.T @ about).cpu() + torch.outer(shift, shift) * share
        else:
            squares += about.square().sum(0).cpu() + shift.square() * share
        mean += shift * (len(rows) / total)
        count = total
    if count < 2:
        raise ValueError(f"a variance needs at least 2 features, got {count}")
    return mean, squares, count


def _checked(chunk: Tensor, width: int) -> Tensor:
    rows = chunk.detach().double()
    if rows.ndim != 2 or rows.shape[1] != width or not rows.isfinite().all():
        raise ValueError(f"expected finite features [n, {width}], got {tuple(rows.shape)}")
    return rows
