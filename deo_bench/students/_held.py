"""A frozen backbone that a student looks at: neither trained, saved nor copied with it."""

from __future__ import annotations

from typing import Any

from deo_bench.backbone import Backbone


class Held:
    """Keeps a backbone out of a module's own: out of its parameters and its state, and shared by its copies."""

    def __init__(self, teacher: Backbone) -> None:
        self.teacher = teacher

    def __deepcopy__(self, memo: dict[int, Any]) -> Held:
        """A following teacher copies the student, and both look at one teacher."""
        return self
