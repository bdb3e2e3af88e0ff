"""Swin transformers as students: timm's stages behind a stem of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from deo_bench.declarations import Count, Fraction
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.normalisation import Normalisation
from deo_bench.students import Stem, Student, student
from deo_bench.students._masks import replace_masked
from deo_bench.students._published import Published
from deo_bench.students._shifted import PaddedFirst

ENTRIES = {
    "swin_tiny": {
        "summary": "A Swin transformer, 96 wide at the first of four stages, 2-2-6-2 blocks.",
        "parameters": 27.5,
        "gmacs": 4.5,
        "options": {"width": 96, "depths": [2, 2, 6, 2], "heads": [3, 6, 12, 24]},
    },
    "swin_base": {
        "summary": "A Swin transformer, 128 wide at the first of four stages, 2-2-18-2 blocks.",
        "parameters": 86.8,
        "gmacs": 15.4,
        "options": {"width": 128, "depths": [2, 2, 18, 2], "heads": [4, 8, 16, 32]},
    },
}
STAGES = range(1, 5)


@student(ENTRIES, paper="https://arxiv.org/abs/2103.14030")
class Swin(Student):
    """A Swin transformer (Liu et al., 2021): windowed attention in four stages, patch 4, a stem for each band set.

    Levels are stages from 1: early 2, mid 3, late 4 (DEO's taps are 3 and 4); `levels` overrides the three, and
    `stage_N` names any. Maps are the stages' raw outputs; `normed` applies the final LayerNorm to the last stage, the
    only one it fits. Pooled: `mean` of the last stage's cells after the final norm. Images of any multiple of 4
    pixels: windows of `window` cells are made for `size` pixels (a stage smaller than a window there has one window
    of its own size) and padded with zeros elsewhere, in timm's order of shift and padding, or in torchvision's, which
    DEO's code uses and which differs on small crops (`padding`).

    width: of the first stage, doubled by each; depths, heads: of the four stages; patch_norm: a LayerNorm after the
    stem, shared by the band sets; drop_path: the last block's rate of stochastic depth, rising linearly from 0.
    """

    def __init__(
        self,
        name: str,
        stem: Callable[[int, int], Stem],
        band_sets: Mapping[str, tuple[str, ...]],
        normalisations: Mapping[str, Normalisation],
        *,
        width: Count = 96,
        depths: list[int] = (2, 2, 6, 2),  # type: ignore[assignment]
        heads: list[int] = (3, 6, 12, 24),  # type: ignore[assignment]
        window: Count = 7,
        size: Count = 224,
        padding: Literal["timm", "torchvision"] = "timm",
        patch_norm: bool = True,
        normed: bool = False,
        drop_path: Fraction = 0.0,
        levels: list[int] | None = None,
    ) -> None:
        super().__init__()
        if len(depths) != len(STAGES) or len(heads) != len(STAGES):
            raise UserError(f"student {name!r}: depths and heads take {len(STAGES)} numbers, a stage each")
        self.declare(band_sets, normalisations)
        self.name, self.patch, self.normed = name, 4, normed
        self.widths = {stage: width * 2 ** (stage - 1) for stage in STAGES}
        self.default, self.pooled_dims = "mean", {"mean": self.widths[STAGES[-1]]}
        self.levels = named_levels(levels, [2, 3, 4], STAGES)
        self.stem = stem(width, self.patch)
        engine: Any = SwinTransformer(
            img_size=size,
            patch_size=self.patch,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depths=tuple(depths),
            num_heads=tuple(heads),
            window_size=window,
            drop_path_rate=drop_path,
            strict_img_size=False,
        )
        self.patch_norm = nn.LayerNorm(width) if patch_norm else nn.Identity()
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.stages = engine.layers
        if padding == "torchvision":
            for stage in engine.layers:
                stage.blocks = nn.Sequential(*(PaddedFirst(block) for block in stage.blocks))
        self.norm = engine.norm

    def embed(self, pixels: Tensor, sees: str, mask: Tensor | None = None) -> Tensor:
        """Cells of 4 x 4 pixels [B, h, w, D], masked ones replaced; a mask may be on a coarser grid."""
        height, width = pixels.shape[-2:]
        if height % self.patch or width % self.patch:
            raise UserError(f"student {self.name!r}: patch {self.patch} does not divide images of {height} x {width}")
        cells = self.patch_norm(self.stem(pixels, sees).permute(0, 2, 3, 1))
        return replace_masked(cells, mask, self.mask_token)

    def trunk(self, tokens: Tensor, levels: tuple[str, ...]) -> Features:
        """Features of cells [B, h, w, D] at stride 4."""
        numbers = {level: self._stage(level) for level in levels}
        values, kept = tokens, {}
        for number, stage in zip(STAGES, self.stages, strict=True):
            values = stage(values)
            kept[number] = values
        values = self.norm(values)
        if self.normed:
            kept[STAGES[-1]] = values
        maps = {level: kept[number].permute(0, 3, 1, 2) for level, number in numbers.items()}
        return Features(self.pool(values), maps, self.default, values)

    def pool(self, last: Tensor) -> dict[str, Tensor]:
        """The mean of the normed cells [B, h, w, D]."""
        return {"mean": last.mean((1, 2))}

    def start(self, state: Mapping[str, Tensor], source: str, model: str | None = None) -> list[str]:
        """From one of timm's Swin transformers of the same windows."""
        given = Published(state, source, model)
        given.rename("layers.", "stages.")
        given.rename("patch_embed.norm.", "patch_norm.")
        filters = given.filters(self.stem)
        told = self.take_trunk(given.state, source)
        self.stem.inflate(*filters)
        return [*given.told, *told]

    def map_width(self, level: str) -> int:
        """The stage's width."""
        return self.widths[self._stage(level)]

    def stride(self, level: str) -> int:
        """4 pixels at the first stage, doubled by each."""
        return int(self.patch * 2 ** (self._stage(level) - 1))

    def _stage(self, level: str) -> int:
        number = level_number(level, self.levels, "stage", STAGES)
        if number is None:
            raise self.no_level(level)
        return number
