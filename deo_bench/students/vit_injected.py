"""Vision transformers that are shown a frozen teacher's maps on their way, as students."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from deo_bench.backbone import Backbone
from deo_bench.declarations import Count, Fraction, Positive
from deo_bench.errors import UserError
from deo_bench.features import Features, Images, at_least_float32
from deo_bench.normalisation import Normalisation
from deo_bench.students import Stem, student
from deo_bench.students._held import Held
from deo_bench.students._masks import over_pixels
from deo_bench.students._vit import VitStudent

ENTRIES = {
    "vit_injected": {
        "summary": "A vision transformer, 384 wide, 12 deep, patch 16, with a frozen teacher's maps added on its way.",
        "parameters": 22.7,
        "gmacs": 4.6,
        "options": {},
    },
    "vit_injected_nano": {
        "summary": "`vit_nano` with a frozen teacher's maps added on its way.",
        "parameters": 0.9,
        "gmacs": 1.3,
        "options": {"patch": 8, "width": 128, "depth": 4, "heads": 4, "size": 64, "pooling": "mean"},
    },
}


@student(ENTRIES, needs="teacher")
class VitInjected(VitStudent):
    """A vision transformer that a frozen teacher's maps are injected into at several depths, after WEDepth (2025).

    At block n the cells gain P_n(LN(resize(map_n))): the teacher's map of a level, resized (bilinear, averaging where
    it shrinks) to the student's grid, each cell normalised to mean 0 and spread 1 over its channels without
    parameters, so that teachers of any scale will do, and a 1x1 projection that starts at zero. So at step 0 it is
    the student without a teacher, to the bit.

    Which teacher is said in the student's table, `teacher = "tiny_optical"` or a table with its options; "none" is the
    control. It is frozen, is shown red, green and blue (its own first band set) of the same crops, colours included,
    in its own normalisation, in training and whenever the student is evaluated; cells that the student must do without
    are masked for it, too (at its mean). Its weights are neither trained nor saved with the student's, but are part of
    who the run is. Parameters and GMACs are without it.

    inject: its levels, shallow to deep, its named ones where left out (of a student of fewer blocks the deepest); at:
    the number of the block that each is added before, spread evenly from the first where left out. The other options
    are those of `vit_small`.
    """

    def __init__(
        self,
        name: str,
        stem: Callable[[int, int], Stem],
        band_sets: Mapping[str, tuple[str, ...]],
        normalisations: Mapping[str, Normalisation],
        teacher: Backbone | None,
        *,
        inject: list[str] | None = None,
        at: list[int] | None = None,
        patch: Count = 16,
        width: Count = 384,
        depth: Count = 12,
        heads: Count = 6,
        ratio: Positive = 4.0,
        size: Count = 224,
        pooling: Literal["mean", "cls"] = "cls",
        normed: bool = False,
        drop_path: Fraction = 0.0,
        levels: list[int] | None = None,
    ) -> None:
        super().__init__(
            name,
            stem,
            band_sets,
            normalisations,
            patch=patch,
            width=width,
            depth=depth,
            heads=heads,
            ratio=ratio,
            size=size,
            pooling=pooling,
            normed=normed,
            drop_path=drop_path,
            levels=levels,
        )
        self.held = None if teacher is None else Held(teacher)
        known = list(teacher.levels)[-depth:] if teacher is not None else []
        self.inject = tuple(known if inject is None or teacher is None else inject)
        self.at = [] if teacher is None else _blocks(name, len(self.inject), depth, at)
        self.projections = nn.ModuleList()
        if teacher is not None:
            self._check(teacher)
            self.projections.extend(nn.Linear(teacher.map_width(level), width) for level in self.inject)
        for parameter in self.projections.parameters():
            nn.init.zeros_(parameter)

    fresh = ("mask_token", "projections.")

    def beside(self, images: Images) -> Tensor | None:
        """What the teacher is shown [B, 3, H, W], normalised as it wants it."""
        return None if self.held is None else self.held.teacher.prepare(images)

    def embed(self, pixels: Tensor, sees: str, mask: Tensor | None = None) -> Tensor:
        """Cells with their positions, and behind them what each block gains [B, h, w, (1 + levels) D].

        pixels: the student's own and, behind them, the teacher's, as `prepare` gives them.
        """
        own = len(self.band_sets[sees])
        cells = super().embed(pixels[:, :own], sees, mask)
        if self.held is None:
            return cells
        maps = self._maps(over_pixels(pixels[:, own:], mask))
        gained = [self._projected(found, by, cells) for found, by in zip(maps, self.projections, strict=True)]
        return torch.cat([cells, *gained], -1)

    def trunk(self, tokens: Tensor, levels: tuple[str, ...]) -> Features:
        """Features of cells [B, h, w, D] and of what stands behind them."""
        cells, *gained = tokens.chunk(1 + len(self.projections), -1)
        return self._pass(cells, levels, dict(zip(self.at, gained, strict=True)) if gained else {})

    def _maps(self, pixels: Tensor) -> list[Tensor]:
        assert self.held is not None
        teacher = self.held.teacher
        if pixels.shape[1] != len(teacher.band_sets[teacher.first]):
            raise UserError(f"student {self.name!r}: its teacher was not shown the images; `prepare` makes its pixels")
        with torch.no_grad():
            features = teacher.extract(pixels, teacher.first, self.inject)
        return [features.maps[level] for level in self.inject]

    def _projected(self, found: Tensor, project: nn.Module, cells: Tensor) -> Tensor:
        """A map [B, C, h', w'] as what the cells [B, h, w, D] gain."""
        grid = cells.shape[1:3]
        shrinks = grid[0] < found.shape[-2]
        wide = at_least_float32(found)
        if found.shape[-2:] != grid:
            wide = functional.interpolate(wide, size=grid, mode="bilinear", antialias=shrinks)
        normed = functional.layer_norm(wide.movedim(1, -1), found.shape[1:2])
        gained: Tensor = project(normed.to(next(project.parameters()).dtype))
        return gained.to(cells.dtype)

    def _check(self, teacher: Backbone) -> None:
        """The teacher has the levels, and every band set that the student is fed has its bands."""
        if not self.inject:
            raise UserError(f"student {self.name!r}: its teacher has no maps to inject; take another, or none")
        seen = teacher.band_sets[teacher.first]
        for sees, bands in self.band_sets.items():
            lacking = [band for band in seen if band not in bands]
            if lacking:
                raise UserError(
                    f"student {self.name!r}: its teacher is shown {', '.join(seen)}, and {sees!r}, which the student "
                    f"is fed, lacks {', '.join(lacking)}"
                )

    def _apply(self, change: Any, recurse: bool = True) -> Any:
        """The teacher goes along to another device or precision."""
        if self.held is not None:
            self.held.teacher._apply(change)
        return super()._apply(change, recurse)


def _blocks(name: str, count: int, depth: int, given: list[int] | None) -> list[int]:
    """The numbers of the blocks whose input gains something."""
    if given is None and count <= depth:
        return [number * depth // count for number in range(count)]
    chosen = given or []
    if len(chosen) != count or sorted(set(chosen)) != chosen or any(number not in range(depth) for number in chosen):
        raise UserError(
            f"student {name!r}: at takes {count} numbers of blocks from 0 to {depth - 1}, one a level of inject, "
            f"shallow to deep, got {given}"
        )
    return chosen
