"""DINOv2: vision transformers by Meta, self-supervised on curated photographs."""

from __future__ import annotations

from pathlib import Path

from timm.models.vision_transformer import checkpoint_filter_fn

from deo_bench.declarations import Count, Positive
from deo_bench.teachers import teacher
from deo_bench.teachers._vit import TimmVit

ENTRIES = {
    "dinov2_vitb14": {
        "summary": "DINOv2 ViT-B/14: self-supervised on 142 million photographs.",
        "parameters": 86.6,
        "gmacs": 23.2,
        "weights": "hub:timm/vit_base_patch14_dinov2.lvd142m",
        "architecture": "vit_base_patch14_dinov2.lvd142m",
        "levels": [5, 8, 11],
        "megabytes": 346,
    },
}


@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2304.07193",
    licence="Apache-2.0",
    licence_url="https://github.com/facebookresearch/dinov2/blob/main/LICENSE",
    gated=False,
    trained_on=["LVD-142M"],
)
class DinoV2(TimmVit):
    """A frozen DINOv2 (Oquab et al., 2023), through timm, without registers: one prefix token.

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
