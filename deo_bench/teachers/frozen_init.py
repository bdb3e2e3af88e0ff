"""The student as it was initialised, as a teacher of the student."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from deo_bench.backbone import Backbone
from deo_bench.teachers import Moment, teacher
from deo_bench.teachers._following import Following


@teacher("frozen_init", needs="student", weights="none")
class FrozenInit(Following):
    """The student and its heads as they were initialised, never moved: the control of every update policy.

    What a student gains from it, it gains from views and losses, not from a teacher that improves.
    """

    def __init__(self, student: Backbone, *, drop_path: bool = False) -> None:
        super().__init__(student, drop_path)

    def follow(self, student: Backbone, heads: Mapping[str, nn.Module], moment: Moment) -> None:
        """It stays."""
