"""A moving average of the student, as a teacher of the student."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from deo_bench.backbone import Backbone
from deo_bench.declarations import Fraction, Positive
from deo_bench.schedules import Schedule
from deo_bench.teachers import Moment, teacher
from deo_bench.teachers._following import Following


@teacher("ema", needs="student", weights="none", paper="https://arxiv.org/abs/2104.14294")
class Ema(Following):
    """An exponential moving average of the student (mean teacher; DINO's momentum encoder).

    After each step, by name: `m * teacher + (1 - m) * student` for parameters, floating buffers and its own copies of
    the heads; buffers that are counts are copied. m goes from `start` to `end` along a cosine over the steps.

    half_life: instead of `start`, the share of the steps after which half of what it was is forgotten, m = 2^(-1 /
    (half_life * steps)): short and long trainings then have alike teachers (0.996 is a half-life of 173 steps).

    It is always in evaluation mode; `drop_path` keeps the student's stochastic depth active in it, as DEO's code has
    it.
    """

    def __init__(
        self,
        student: Backbone,
        *,
        start: Fraction = 0.996,
        end: Fraction = 1.0,
        half_life: Positive | None = None,
        drop_path: bool = False,
    ) -> None:
        super().__init__(student, drop_path)
        self.start, self.end, self.half_life = start, end, half_life

    def momentum(self, step: int, steps: int) -> float:
        """m at a step."""
        start = self.start if self.half_life is None else 2 ** (-1 / (self.half_life * max(steps, 1)))
        return Schedule(start=start, end=self.end).at(step, steps)

    def follow(self, student: Backbone, heads: Mapping[str, nn.Module], moment: Moment) -> None:
        """Move toward the student and its heads, once its step is done."""
        self.move(student, heads, self.momentum(moment.step, moment.steps))
