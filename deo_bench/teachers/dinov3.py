"""DINOv3: vision transformers by Meta, distilled from a 7-billion-parameter model."""

from __future__ import annotations

from pathlib import Path

from timm.models.eva import checkpoint_filter_fn

from deo_bench.declarations import Count, Positive
from deo_bench.teachers import teacher
from deo_bench.teachers._vit import TimmVit

ENTRIES = {
    "dinov3_vitb16": {
        "summary": "DINOv3 ViT-B/16: self-supervised on 1,689 million photographs.",
        "parameters": 85.6,
        "gmacs": 17.9,
        "weights": "hub:timm/vit_base_patch16_dinov3.lvd1689m",
        "architecture": "vit_base_patch16_dinov3.lvd1689m",
        "levels": [5, 8, 11],
        "megabytes": 343,
    },
}


# The hub's copies in timm's format are under the same licence as Meta's own repositories, which are gated.
@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2508.10104",
    licence="DINOv3 License",
    licence_url="https://ai.meta.com/resources/models-and-libraries/dinov3-license",
    gated=False,
    trained_on=["LVD-1689M"],
)
class DinoV3(TimmVit):
    """A frozen DINOv3 (Siméoni et al., 2025), through timm: a class token and four registers before the cells.

    Pooled: `cls` (default) and `mean`. Levels are block numbers from 0: of 12 blocks early 5, mid 8, late 11 (DEO's
    taps are 8 and 11); `levels` overrides the three, `block_N` names any other. `normed` applies the final LayerNorm
    to every level, as DEO does.

    file: weights of the user's own (timm's file or Meta's) instead of the hub's; size: pixels that the shortest side
    is resized to first; white: the reflectance shown as white.
    """

    def __init__(
        self,
        name: str,
        load: bool = True,
        *,
        file: Path | None = None,
        size: Count | None = None,
        white: Positive = 0.3,
        normed: bool = True,
        levels: list[int] | None = None,
    ) -> None:
        super().__init__(name, ENTRIES[name], load, checkpoint_filter_fn, file, size, white, normed, levels)
