"""Symmetric InfoNCE of CLIP."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from deo_bench.declarations import Positive
from deo_bench.errors import UserError
from deo_bench.losses import PairLoss, loss
from deo_bench.losses._contrast import held, symmetric_infonce

MOST = 100.0


@loss("infonce", paper="https://arxiv.org/abs/2103.00020", takes="pooled", crops="global", spans_batch=True)
class InfoNCE(PairLoss):
    """Tells which target of the batch belongs to which image, and the other way round (CLIP).

    L = mean over pairs of 1/2 [CE(rows) + CE(columns)] of the logits e^a cos(s_i, t_j), the right ones on the diagonal

    Radford et al., 2021, fig. 3 and sec. 2.5. Vectors [B, D]; the other images of the whole batch, over all ranks, are
    the negatives. Perfectly aligned orthonormal features give ln(1 + (B - 1) e^(-e^a)), a collapsed batch gives ln B.
    Gradients go to both sides where the target has any (`toward = "student"`).

    temperature: e^-a at the start; learned: whether a is trained, held in [0, ln 100] as in CLIP, or stays as it is.

    It says little where the batch has fewer than 64 images: state the batch with the result.
    """

    def __init__(self, *, temperature: Positive = 0.07, learned: bool = True) -> None:
        super().__init__()
        if learned and not 1 / MOST <= temperature <= 1:
            raise UserError(
                f"infonce.temperature: a learned one stays between {1 / MOST:g} and 1, got {temperature:g}; "
                "`learned = false` takes any"
            )
        self.fixed = 1 / temperature
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature))) if learned else None

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """A scalar from [B, D] each."""
        learned = self.log_scale
        scale = self.fixed if learned is None else held(learned, 0, math.log(MOST)).exp()
        return symmetric_infonce(student, target, scale)
