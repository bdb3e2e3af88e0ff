"""Sigmoid contrastive loss of SigLIP."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.declarations import Positive
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._contrast import in_chunks
from deo_bench.losses._pairwise import unit


@loss("siglip", paper="https://arxiv.org/abs/2303.15343", takes="pooled", crops="global", spans_batch=True)
class SigLIP(PairLoss):
    """Asks of every image and every target of the batch whether they belong together, each on its own (SigLIP).

    L = mean over pairs of -1/B sum_ij log sigmoid(y_ij (e^a cos(s_i, t_j) + b)),    y = 1 on the diagonal, else -1

    Zhai et al., 2023, algorithm 1. Vectors [B, D]; the batch is that of all ranks. It starts near the answer
    "no" for all, which B - 1 of B are. Gradients go to both sides where the target has any (`toward = "student"`).

    temperature: e^-a at the start (a = ln 10); bias: b at the start; learned: whether a and b are trained.

    It says little where the batch has fewer than 64 images: state the batch with the result.
    """

    def __init__(self, *, temperature: Positive = 0.1, bias: float = -10.0, learned: bool = True) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learned)
        self.bias = nn.Parameter(torch.tensor(float(bias)), requires_grad=learned)

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D] each."""
        s, t = unit(student), unit(target)
        numbers = torch.arange(len(s), device=s.device)

        def compute(some: Tensor, own: Tensor) -> Tensor:
            logits = self.log_scale.exp() * (some @ t.T) + self.bias
            signs = torch.where(own[:, None] == numbers, 1.0, -1.0).to(logits)
            return -F.logsigmoid(signs * logits).sum(1)

        return in_chunks(compute, len(t), s, numbers).mean()
