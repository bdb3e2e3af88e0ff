"""Whether a student's views have fallen together, measured against the closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional

from deo_bench.engine.terms import TermAtWork
from deo_bench.losses.coding_rate import coding_rate, collapsed_rate


@dataclass(frozen=True)
class Spread:
    """compression: mean cosine of two views; expansion: coding rate of a batch; collapsed: the rate of one point."""

    compression: float
    expansion: float
    collapsed: float

    @property
    def is_collapsed(self) -> bool:
        """Views agree and the batch is nearly one point: expansion < 3 x its collapsed value with compression > .98."""
        return self.expansion < 3 * self.collapsed and self.compression > 0.98


@torch.no_grad()
def spread_of(terms: Mapping[str, TermAtWork]) -> Spread | None:
    """The spread of the head outputs of the first pooled term toward a teacher that follows the student.

    None where no term does: a fixed target does not collapse by itself.
    """
    for work in terms.values():
        for student, target, _ in work.calls:
            if not work.following or target is None or student.ndim != 3 or len(target) < 2:
                continue
            rows = functional.normalize(student[: len(target)].float(), dim=-1)
            other = functional.normalize(target.float(), dim=-1)
            compression = float((rows * other.roll(1, 0)).sum(-1).mean())
            rate = float(torch.stack([coding_rate((a + b) / 2) for a, b in zip(rows, other, strict=True)]).mean())
            return Spread(compression, rate, collapsed_rate(rows.shape[-1], rows.shape[1]))
    return None
