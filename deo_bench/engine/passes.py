"""Which student passes an objective needs, and running them: one a crop size, shared by the band sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deo_bench.data.view_settings import Views as ViewSettings
from deo_bench.draws import torch_generator
from deo_bench.features import POOLED, Features, Images
from deo_bench.recipe import Term
from deo_bench.students import Student

CLEAN = "clean"
"""Beside the views `global` and `local`: the global crops again, without any change of colours, for teachers alone."""


@dataclass(frozen=True)
class Views:
    """The views of one batch: `count` crops of one size stacked in `images` [count * B, C, H, W], view by view."""

    images: Images
    count: int

    @property
    def batch(self) -> int:
        """Images in the batch."""
        return len(self.images.pixels) // self.count


@dataclass(frozen=True)
class ViewFeatures:
    """Features of some views of one size: everything in them is stacked [count * B, ...], view by view."""

    features: Features
    count: int

    def get(self, place: str) -> Tensor:
        """A pooled vector or a map as [V, B, D, *grid]."""
        value = self.features.get(place)
        return value.view(self.count, -1, *value.shape[1:])


@dataclass
class Needs:
    """What the terms of an objective look at: band set -> whether local crops too, and which levels."""

    local: dict[str, bool] = field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, sees: str, is_local: bool, places: Sequence[str]) -> None:
        """One more look at the student."""
        self.local[sees] = self.local.get(sees, False) or is_local
        new = [place for place in places if place not in POOLED]
        self.levels[sees] = tuple(dict.fromkeys([*self.levels.get(sees, ()), *new]))


def needs_of(terms: Mapping[str, Term]) -> Needs:
    """What these terms need of the student."""
    needs = Needs()
    for term in terms.values():
        needs.add(term.sees, term.crops == "all", term.on)
        if "student" in term.toward:
            needs.add(term.target_sees or term.sees, term.crops == "all", term.target_on)
    return needs


def student_passes(
    student: Student,
    views: Views,
    bands: Sequence[str],
    levels: Mapping[str, tuple[str, ...]],
    mask: Tensor | None = None,
) -> dict[str, ViewFeatures]:
    """Features of some views for each band set; the trunk is passed once where the student allows it.

    mask: [count * B, h, w] cells that the student does not see, or none.
    """
    wanted = tuple(dict.fromkeys(level for sees in bands for level in levels.get(sees, ())))
    tokens = [student.embed(student.prepare(views.images, sees), sees, mask) for sees in bands]
    if student.has_batch_statistics or len(bands) == 1:
        parts = [student.trunk(part, wanted) for part in tokens]
    else:
        together = student.trunk(torch.cat(tokens), wanted)
        size = len(views.images.pixels)
        parts = [together.slice(index * size, (index + 1) * size) for index in range(len(bands))]
    return {sees: ViewFeatures(part, views.count) for sees, part in zip(bands, parts, strict=True)}


def draw_mask(settings: ViewSettings, views: Views, patch: int, seed: int, step: int) -> Tensor:
    """Cells that the student is not shown [count * B, h, w], drawn on the CPU from (seed, "mask", step)."""
    total = len(views.images.pixels)
    height, width = (side // patch for side in views.images.pixels.shape[-2:])
    draws = torch_generator(seed, "mask", step)
    chosen = torch.rand(total, generator=draws) < settings.mask
    low, high = settings.mask_ratio
    share = (low + (high - low) * torch.rand(total, generator=draws)) * chosen
    order = torch.rand(total, height * width, generator=draws).argsort(1).argsort(1)
    mask = order < (share * height * width).round()[:, None]
    return mask.view(total, height, width).to(views.images.pixels.device)
