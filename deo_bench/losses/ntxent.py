"""NT-Xent of SimCLR."""

from __future__ import annotations

import torch
from torch import Tensor

from deo_bench.declarations import Positive
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._contrast import cross_entropies
from deo_bench.losses._pairwise import unit


@loss("ntxent", paper="https://arxiv.org/abs/2002.05709", takes="pooled", crops="global", spans_batch=True)
class NTXent(PairLoss):
    """Finds the other view of an image among both views of all images of the batch (SimCLR).

    L = mean over pairs of -1/2B sum_i log( e^(cos(z_i, z_i')/tau) / sum_{k != i} e^(cos(z_i, z_k)/tau) )

    z [2B, D] are student and target one after the other, i' is the other view of i: unlike `infonce`, a view's own kind
    is among the negatives. Chen et al., 2020, eq. 1; the batch is that of all ranks. Gradients go to both sides where
    the target has any (`toward = "student"`).

    temperature: tau (SimCLR tries 0.1 to 1).

    It says little where the batch has fewer than 64 images: state the batch with the result.
    """

    def __init__(self, *, temperature: Positive = 0.5) -> None:
        super().__init__()
        self.temperature = temperature

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D] each."""
        both = unit(torch.cat([student, target]))
        own = torch.arange(len(both), device=both.device)
        return cross_entropies(both, both, own.roll(len(student)), 1 / self.temperature, but=own).mean()
