"""Distributions over prototypes: how a target's logits become some, and what the student is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from deo_bench.errors import UserError

Centring = Literal["mean", "sinkhorn"]


class Growing(nn.Module):
    """Buffers whose size is known only once there is data: what is loaded brings its own size along."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        for name, mine in list(self.named_buffers(recurse=False)):
            if f"{prefix}{name}" in state_dict:
                setattr(self, name, mine.new_zeros(state_dict[f"{prefix}{name}"].shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class Centre(Growing):
    """The moving mean [K] of a target's logits; a plain 0 before the first, so no loss has to be told K."""

    mean: Tensor

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(()))

    def follow(self, logits: Tensor) -> None:
        """Move toward the mean of logits [N, K]; none of them move nothing, another K is a UserError."""
        if len(logits) == 0:
            return
        new = logits.mean(0).to(self.mean)
        if self.mean.ndim and len(self.mean) != len(new):
            raise UserError(
                f"a loss keeps one centre, of {len(self.mean)} prototypes, and was given logits of {len(new)}; "
                "give all its places one shared head, or write a term for each"
            )
        self.mean = self.momentum * self.mean + (1 - self.momentum) * new

    def forward(self, logits: Tensor) -> Tensor:
        """The centre as a thing to subtract from logits [..., K], in their type."""
        return self.mean.to(logits)


class Assignment(nn.Module):
    """Logits as distributions over prototypes: softmax of the centred ones, or Sinkhorn and Knopp's balanced ones."""

    def __init__(self, centring: Centring, momentum: float, iterations: int) -> None:
        super().__init__()
        self.centring, self.iterations = centring, iterations
        self.centre = Centre(momentum)

    @torch.no_grad()
    def forward(self, logits: Tensor, temperature: float) -> Tensor:
        """[N, K] from [N, K], every row adding up to 1, without a gradient."""
        if self.centring == "sinkhorn":
            return sinkhorn(logits, temperature, self.iterations)
        return ((logits - self.centre(logits)) / temperature).softmax(1)

    def follow(self, logits: Tensor) -> None:
        """Let the centre follow logits [N, K], where there is one."""
        if self.centring == "mean":
            self.centre.follow(logits)


def sinkhorn(logits: Tensor, temperature: float, iterations: int) -> Tensor:
    """Distributions [N, K] that use the K prototypes equally often, nearly so after a few iterations.

    exp(logits / temperature) is scaled prototype by prototype, then row by row, so many times (DINOv2's
    `sinkhorn_knopp_teacher`). In logarithms, in which no exponential overflows; the constants 1 / K and 1 / N of the
    published form cancel.
    """
    logs = logits / temperature
    for _ in range(iterations):
        logs = logs - logs.logsumexp(0)
        logs = logs.log_softmax(1)
    return logs.exp()


@dataclass(frozen=True)
class Temperatures:
    """Of the student, and of the target: `target`, or from it to `target_end` over the first `warmup` of training."""

    student: float
    target: float
    target_end: float | None
    warmup: float

    def at(self, progress: float) -> float:
        """The target's temperature."""
        if self.target_end is None:
            return self.target
        done = min(progress / self.warmup, 1.0) if self.warmup > 0 else 1.0
        return self.target + (self.target_end - self.target) * done


def cross_entropy(goals: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """- sum_k goal_k log softmax(logits / temperature)_k: [N] from [N, K] each."""
    return -(goals * (logits / temperature).log_softmax(1)).sum(1)


def cross_entropies(goals: Tensor, student: Tensor, pairs: Sequence[tuple[int, int]], temperature: float) -> Tensor:
    """The mean cross-entropy over pairs of views, [B], from goals [U, B, K] and the student's logits [V, B, K]."""
    said = {v: (student[v] / temperature).log_softmax(1) for v, _ in pairs}
    return torch.stack([-(goals[u] * said[v]).sum(1) for v, u in pairs]).mean(0)
