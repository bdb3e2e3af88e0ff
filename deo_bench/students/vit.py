"""Vision transformers as students: timm's blocks behind a stem of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from deo_bench.declarations import Count, Fraction, Positive
from deo_bench.normalisation import Normalisation
from deo_bench.students import Stem, student
from deo_bench.students._vit import VitStudent

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
    "vit_base8": {
        "summary": "A vision transformer, 768 wide, 12 deep, patch 8, as DEO's published ViT-B/8.",
        "parameters": 86.3,
        "gmacs": 78.1,
        "options": {"patch": 8, "width": 768, "heads": 12},
    },
}


@student(ENTRIES, paper="https://arxiv.org/abs/2010.11929", groups=True)
class Vit(VitStudent):
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
