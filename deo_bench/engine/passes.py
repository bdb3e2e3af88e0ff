"""Which student passes an objective needs, and running them: one a crop size, shared by the band sets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deo_bench.data.view_settings import Views as ViewSettings
from deo_bench.draws import torch_generator
from deo_bench.features import POOLED, Features, Images
from deo_bench.recipe import Term
from deo_bench.students import Student

RGB = "rgb"
"""The band set of a view that shows red, green and blue alone."""

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
    """What the terms of an objective look at: band set -> whether local crops too, and which levels.

    masked: the band sets of which a masked pass is wanted.
    """

    local: dict[str, bool] = field(default_factory=dict)
    masked: set[str] = field(default_factory=set)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, sees: str, is_local: bool, places: Sequence[str]) -> None:
        """One more look at the student."""
        self.local[sees] = self.local.get(sees, False) or is_local
        self._add_levels(sees, places)

    def add_masked(self, sees: str, places: Sequence[str]) -> None:
        """One more look at the student behind its mask."""
        self.masked.add(sees)
        self._add_levels(sees, places)

    def _add_levels(self, sees: str, places: Sequence[str]) -> None:
        new = [place for place in places if place not in POOLED]
        self.levels[sees] = tuple(dict.fromkeys([*self.levels.get(sees, ()), *new]))


def needs_of(terms: Mapping[str, Term], masked: Collection[str] = ()) -> Needs:
    """What these terms need of the student; those in `masked` look at its masked pass instead of the whole one."""
    needs = Needs()
    for name, term in terms.items():
        if name in masked:
            needs.add_masked(term.sees, term.on)
        else:
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
    alone: Tensor | None = None,
) -> dict[str, ViewFeatures]:
    """Features of some views for each band set; the trunk is passed once where the student and their tokens allow it.

    mask: [count * B, h, w] cells that the student does not see, or none; alone: as `draw_modality` gives it.
    """
    wanted = tuple(dict.fromkeys(level for sees in bands for level in levels.get(sees, ())))
    tokens = embedded(student, views.images, bands, mask, alone)
    if student.has_batch_statistics or len({part.shape[1:] for part in tokens}) > 1 or len(bands) == 1:
        parts = [student.trunk(part, wanted) for part in tokens]
    else:
        together = student.trunk(torch.cat(tokens), wanted)
        size = len(views.images.pixels)
        parts = [together.slice(index * size, (index + 1) * size) for index in range(len(bands))]
    return {sees: ViewFeatures(part, views.count) for sees, part in zip(bands, parts, strict=True)}


def embedded(
    backbone: Any, images: Images, bands: Sequence[str], mask: Tensor | None = None, alone: Tensor | None = None
) -> list[Tensor]:
    """The trunk's tokens of images for each band set; images that show RGB `alone` have the RGB stem's in all of them.

    backbone: a student, or a teacher that follows one.
    """
    tokens = {sees: backbone.embed(backbone.prepare(images, sees), sees, mask) for sees in bands}
    if alone is not None and set(tokens) != {RGB}:
        rgb = tokens[RGB] if RGB in tokens else backbone.embed(backbone.prepare(images, RGB), RGB, mask)
        chosen = alone.view(-1, *[1] * (rgb.ndim - 1))
        tokens = {sees: torch.where(chosen, rgb, own) for sees, own in tokens.items()}
    return list(tokens.values())


def draw_modality(settings: ViewSettings, views: Views, group: str, seed: int, step: int) -> Tensor | None:
    """Which views show RGB alone [count * B], drawn on the CPU from (seed, "modality", group, view, step).

    group: `global` or `local`; none where that is off.
    """
    if not settings.rgb:
        return None
    streams = [torch_generator(seed, "modality", group, view, step) for view in range(views.count)]
    drawn = torch.cat([torch.rand(views.batch, generator=stream) for stream in streams])
    return (drawn < settings.rgb).to(views.images.pixels.device)


def pixel_targets(student: Student, views: Views, sees: str, levels: Sequence[str]) -> ViewFeatures:
    """The student's normalised input as maps [count * B, C * p * p, h, w]: a cell's p x p pixels."""
    pixels = student.prepare(views.images, sees)[:, : len(student.band_sets[sees])]
    maps = {level: functional.pixel_unshuffle(pixels, student.stride(level)) for level in levels}
    return ViewFeatures(Features({}, maps), views.count)


def draw_mask(settings: ViewSettings, views: Views, cell: int, seed: int, step: int) -> Tensor:
    """Cells that the student is not shown [count * B, h, w], drawn on the CPU from (seed, "mask", step).

    cell: a cell's side in pixels.
    """
    total = len(views.images.pixels)
    height, width = (side // cell for side in views.images.pixels.shape[-2:])
    draws = torch_generator(seed, "mask", step)
    chosen = torch.rand(total, generator=draws) < settings.mask
    low, high = settings.mask_ratio
    share = (low + (high - low) * torch.rand(total, generator=draws)) * chosen
    order = torch.rand(total, height * width, generator=draws).argsort(1).argsort(1)
    mask = order < (share * height * width).round()[:, None]
    return mask.view(total, height, width).to(views.images.pixels.device)
