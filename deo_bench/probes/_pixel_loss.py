"""Losses of a label a pixel; what is to be ignored is in none of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.errors import UserError
from deo_bench.probes._pyramid import resized
from deo_bench.probes.maps import MapSource


class PixelLoss:
    """Cross-entropy (`ce`, `weighted_ce` with a weight a class) or soft Dice (`dice`) of logits against labels.

    Dice (Milletari et al. 2016, arXiv 1606.04797, with plain sums): 1 - (2 sum(p y) + 1) / (sum(p) + sum(y) + 1) over
    the batch's pixels, the mean of the classes that are in the batch.
    """

    def __init__(self, kind: str, num_classes: int, ignore: int | None, weights: Tensor | None = None) -> None:
        self.kind, self.num_classes, self.ignore, self.weights = kind, num_classes, ignore, weights

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """A number, of logits [B, K, h, w] at any resolution and labels [B, H, W]; 0 where all is ignored."""
        kept = is_kept(labels, self.num_classes, self.ignore, "fit")
        logits, truth = resized(logits, labels.shape[-2:]), labels.where(kept, 0)
        if self.kind == "dice":
            return _dice(logits, truth, kept)
        each = F.cross_entropy(logits, truth, reduction="none")
        weights = kept.float() if self.weights is None else self.weights[truth] * kept
        return torch.where(kept, each * weights, 0.0).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def _dice(logits: Tensor, truth: Tensor, kept: Tensor) -> Tensor:
    there = F.one_hot(truth, logits.shape[1]).movedim(-1, 1) * kept[:, None]
    said = torch.where(kept[:, None], logits.softmax(1), 0.0)
    both, true, total = ((each).sum((0, 2, 3)) for each in (said * there, there, said))
    overlap = (2 * both + 1) / (total + true + 1)
    present = (true > 0).to(overlap.dtype)
    return ((1 - overlap) * present).sum() / present.sum().clamp(min=1)


def is_kept(labels: Tensor, num_classes: int, ignore: int | None, role: str) -> Tensor:
    """Which pixels count [B, H, W]; a label that is no class and not to be ignored is an error."""
    kept = torch.ones_like(labels, dtype=torch.bool) if ignore is None else labels != ignore
    outside = kept & ((labels < 0) | (labels >= num_classes))
    if outside.any():
        told = "" if ignore is None else f", nor {ignore}, which is ignored"
        raise UserError(
            f"the {role} split's label {int(labels[outside][0])} is no class from 0 to {num_classes - 1}{told}"
        )
    return kept


def class_weights(source: MapSource, num_classes: int, ignore: int | None, batch: int) -> Tensor:
    """N / (K n) of each class [num_classes] from its n of N pixels, K the classes there are; 0 of one that is nowhere.

    Every pixel counts, also of images that are shown by windows. (scikit-learn's `balanced`; PANGAEA's inverse shares
    are the same up to a factor, which a weighted mean drops.)
    """
    counts = np.zeros(num_classes)
    for at in range(0, len(source), batch):
        labels = source.whole_labels(np.arange(at, min(at + batch, len(source))))
        assert labels is not None
        kept = labels[is_kept(labels, num_classes, ignore, "fit")]
        counts += torch.bincount(kept.flatten(), minlength=num_classes).cpu().numpy()
    there = counts > 0
    weights = np.divide(counts.sum(), there.sum() * counts, out=np.zeros(num_classes), where=there)
    return torch.as_tensor(weights, dtype=torch.float32, device=source.device)
