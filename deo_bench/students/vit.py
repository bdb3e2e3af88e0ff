"""Vision transformers as students: timm's blocks behind a stem of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from deo_bench.declarations import Count, Fraction, Positive
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.normalisation import Normalisation
from deo_bench.students import Stem, Student, student
from deo_bench.students._masks import replace_masked

ENTRIES = {
    "vit_nano": {
        "summary": "A vision transformer for two CPU cores: 128 wide, 4 deep, patch 8, mean pooling.",
        "parameters": 0.9,
        "gmacs": 1.3,
        "options": {"patch": 8, "width": 128, "depth": 4, "heads": 4, "size": 64, "pooling": "mean"},
    },
    "vit_tiny": {
        "summary": "A vision transformer, 192 wide, 12 deep, patch 16.",
        "parameters": 6.0,
        "gmacs": 1.3,
        "options": {"width": 192, "heads": 3},
    },
    "vit_small": {
        "summary": "A vision transformer, 384 wide, 12 deep, patch 16.",
        "parameters": 22.6,
        "gmacs": 4.6,
        "options": {"width": 384, "heads": 6},
    },
    "vit_base": {
        "summary": "A vision transformer, 768 wide, 12 deep, patch 16.",
        "parameters": 87.8,
        "gmacs": 17.6,
        "options": {"width": 768, "heads": 12},
    },
}


@student(ENTRIES, paper="https://arxiv.org/abs/2010.11929")
class Vit(Student):
    """A vision transformer (Dosovitskiy et al., 2021): pre-norm blocks, learned positions, a stem for each band set.

    Levels are block numbers from 0: of 12 blocks early 2, mid 5, late 11 (DEO's taps are 5 and 11), of 4 blocks 0, 1,
    3; `levels` overrides the three, and `block_N` names any other. Maps are the blocks' raw outputs, or `normed` by
    the final LayerNorm. Pooled: `mean` of the cells after the final norm, and, with `pooling = "cls"`, the class
    token `cls`, which is then the default. Positions are learned for images of `size` pixels and resampled (bicubic)
    to any other grid, so an image of any size that is a multiple of the patch will do.

    patch: pixels a cell; width, depth, heads, ratio: of the blocks (ratio: the MLP's width over the block's);
    drop_path: the last block's rate of stochastic depth, rising linearly from 0.
    """

    def __init__(
        self,
        name: str,
        stem: Callable[[int, int], Stem],
        band_sets: Mapping[str, tuple[str, ...]],
        normalisations: Mapping[str, Normalisation],
        *,
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
        super().__init__()
        if width % heads:
            raise UserError(f"student {name!r}: width {width} is not a multiple of heads {heads}")
        self.declare(band_sets, normalisations)
        self.name, self.patch, self.normed, self.depth = name, patch, normed, depth
        self.default = pooling
        self.pooled_dims = {"cls": width, "mean": width} if pooling == "cls" else {"mean": width}
        self.levels = named_levels(levels, _usual_levels(depth), range(depth))
        self.grid = max(size // patch, 1)
        self.stem = stem(width, patch)
        engine = VisionTransformer(
            img_size=self.grid * patch,
            patch_size=patch,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=ratio,
            class_token=pooling == "cls",
            no_embed_class=True,
            drop_path_rate=drop_path,
        )
        self.positions = engine.pos_embed
        self.class_token = engine.cls_token
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.blocks = engine.blocks
        self.norm = engine.norm

    def embed(self, pixels: Tensor, sees: str, mask: Tensor | None = None) -> Tensor:
        """Cells with their positions [B, h, w, D]; masked cells keep theirs."""
        height, width = pixels.shape[-2:]
        if height % self.patch or width % self.patch:
            raise UserError(f"student {self.name!r}: patch {self.patch} does not divide images of {height} x {width}")
        cells = replace_masked(self.stem(pixels, sees).permute(0, 2, 3, 1), mask, self.mask_token)
        rows, columns = cells.shape[1:3]
        positions = resample_abs_pos_embed(self.positions, [rows, columns], [self.grid, self.grid], num_prefix_tokens=0)
        return cells + positions.view(1, rows, columns, -1).to(cells.dtype)

    def trunk(self, tokens: Tensor, levels: tuple[str, ...]) -> Features:
        """Features of cells [B, h, w, D]; the class token joins here and is in no map."""
        batch, rows, columns, _ = tokens.shape
        numbers = {level: self._block(level) for level in levels}
        values, prefix = tokens.flatten(1, 2), 0
        if self.class_token is not None:
            values, prefix = torch.cat([self.class_token.expand(batch, -1, -1).to(values), values], 1), 1
        kept = {}
        for number, block in enumerate(self.blocks):
            values = block(values)
            if number in numbers.values():
                kept[number] = values
        values = self.norm(values)
        pooled = {"cls": values[:, 0]} if prefix else {}
        pooled["mean"] = values[:, prefix:].mean(1)
        maps = {}
        for level, number in numbers.items():
            cells = (self.norm(kept[number]) if self.normed else kept[number])[:, prefix:]
            maps[level] = cells.transpose(1, 2).unflatten(2, (rows, columns))
        return Features(pooled, maps, self.default)

    def map_width(self, level: str) -> int:
        """The width, at every block."""
        self._block(level)
        return self.pooled_dims["mean"]

    def stride(self, level: str) -> int:
        """The patch, at every block."""
        self._block(level)
        return self.patch

    def _block(self, level: str) -> int:
        number = level_number(level, self.levels, "block", range(self.depth))
        if number is None:
            raise self.no_level(level)
        return number


def _usual_levels(depth: int) -> list[int]:
    return [max(depth // 4 - 1, 0), max(depth // 2 - 1, 0), depth - 1]
