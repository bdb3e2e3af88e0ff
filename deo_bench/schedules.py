"""Numbers that change over training: learning rate, weight decay, momentum, weights of terms."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from deo_bench.declarations import Number, Whole


class Schedule(BaseModel):
    """From `start` to `end` over training, after a linear warm-up from 0.

    Cosine: `end + (start - end) / 2 * (1 + cos(pi t / T))`, t counted after the warm-up and T = steps - warm-up (DINO's
    `cosine_scheduler`, used by DEO for learning rate, weight decay and EMA momentum). The warm-up includes both ends:
    its first step is 0, its last is `start`; the last cosine step is slightly above `end`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Number
    end: Number
    shape: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Whole = Field(default=0, ge=0)

    def at(self, step: int, steps: int) -> float:
        """The value at a step of so many steps."""
        if step < self.warmup:
            return self.start * (step / (self.warmup - 1) if self.warmup > 1 else 1.0)
        span = max(steps - self.warmup, 1)
        done = min((step - self.warmup) / span, 1.0)
        if self.shape == "constant":
            return self.start
        if self.shape == "linear":
            return self.start + (self.end - self.start) * done
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * done)) / 2


def value_at(value: float | Schedule, step: int, steps: int) -> float:
    """A plain number, or a schedule's value at a step."""
    return value.at(step, steps) if isinstance(value, Schedule) else float(value)
