"""Distances of one vector to another, averaged over an image: what several losses mix."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cosine_distance(student: Tensor, target: Tensor) -> Tensor:
    """One minus the cosine of each vector, the mean over an image's cells: [B] from [B, D, *grid] each."""
    distances = 1 - F.cosine_similarity(student, target, dim=1)
    return distances.reshape(len(distances), -1).mean(1)


def smooth_l1(student: Tensor, target: Tensor, beta: float) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; the mean over channels and cells: [B]."""
    return F.smooth_l1_loss(student, target, reduction="none", beta=beta).flatten(1).mean(1)
