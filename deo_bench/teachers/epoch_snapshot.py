"""The student as it was at the end of an epoch, as a teacher of the student."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from deo_bench.backbone import Backbone
from deo_bench.declarations import Count
from deo_bench.teachers import Moment, teacher
from deo_bench.teachers._following import Following


@teacher("epoch_snapshot", needs="student", weights="none", paper="https://arxiv.org/abs/2302.09789")
class EpochSnapshot(Following):
    """A copy of the student, renewed at the end of every epoch (self-reference distillation).

    every: epochs from one copy to the next; steps: renewed after so many steps instead. Until the first, it is the
    student as it was initialised. An epoch ends with the step that draws the last of the images.
    """

    def __init__(
        self, student: Backbone, *, every: Count = 1, steps: Count | None = None, drop_path: bool = False
    ) -> None:
        super().__init__(student, drop_path)
        self.every, self.steps = every, steps

    def follow(self, student: Backbone, heads: Mapping[str, nn.Module], moment: Moment) -> None:
        """Become a copy of the student where it is time."""
        if moment.is_time(self.every, self.steps):
            self.move(student, heads)
