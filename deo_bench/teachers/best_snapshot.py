"""The student as it was when its objective was lowest, as a teacher of the student."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.declarations import Count
from deo_bench.teachers import Moment, teacher
from deo_bench.teachers._following import Following


@teacher("best_snapshot", needs="student", weights="none", paper="https://arxiv.org/abs/2302.09789")
class BestSnapshot(Following):
    """A copy of the student, renewed where the objective was better than it had ever been; no labels are looked at.

    At the end of every epoch the mean of the objective over the steps since the last look is compared with the best
    such mean so far; where it is lower, the teacher becomes a copy of the student. every, steps: as for
    `epoch_snapshot`. A new teacher may make the objective harder, and the old best is then kept.
    """

    best: Tensor
    total: Tensor
    count: Tensor

    def __init__(
        self, student: Backbone, *, every: Count = 1, steps: Count | None = None, drop_path: bool = False
    ) -> None:
        super().__init__(student, drop_path)
        self.every, self.steps = every, steps
        for name, value in (("best", math.inf), ("total", 0.0), ("count", 0.0)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))

    @torch.no_grad()
    def follow(self, student: Backbone, heads: Mapping[str, nn.Module], moment: Moment) -> None:
        """Note the step's objective, and become a copy of the student where it is time and was the best."""
        self.total += moment.total
        self.count += 1
        if not moment.is_time(self.every, self.steps):
            return
        mean = self.total / self.count
        if mean < self.best:
            self.best.copy_(mean)
            self.move(student, heads)
        self.total.zero_()
        self.count.zero_()
