"""DINOv2: vision transformers by Meta, self-supervised on curated photographs."""

from __future__ import annotations

from pathlib import Path

from timm.models.vision_transformer import checkpoint_filter_fn

from deo_bench.declarations import Count, Positive
from deo_bench.teachers import teacher
from deo_bench.teachers._vit import TimmVit

ENTRIES = {
    "dinov2_vits14": {
        "summary": "DINOv2 ViT-S/14: self-supervised on 142 million photographs.",
        "parameters": 22.1,
        "gmacs": 6.1,
        "weights": "hub:timm/vit_small_patch14_dinov2.lvd142m",
        "architecture": "vit_small_patch14_dinov2.lvd142m",
        "levels": [5, 8, 11],
        "megabytes": 88,
    },
    "dinov2_vitb14": {
        "summary": "DINOv2 ViT-B/14: self-supervised on 142 million photographs.",
        "parameters": 86.6,
        "gmacs": 23.2,
        "weights": "hub:timm/vit_base_patch14_dinov2.lvd142m",
        "architecture": "vit_base_patch14_dinov2.lvd142m",
        "levels": [5, 8, 11],
        "megabytes": 346,
    },
    "dinov2_vitl14": {
        "summary": "DINOv2 ViT-L/14: self-supervised on 142 million photographs.",
        "parameters": 304.4,
        "gmacs": 81.0,
        "weights": "hub:timm/vit_large_patch14_dinov2.lvd142m",
        "architecture": "vit_large_patch14_dinov2.lvd142m",
        "levels": [11, 17, 23],
        "megabytes": 1217,
    },
    "dinov2_vitg14": {
        "summary": "DINOv2 ViT-g/14: self-supervised on 142 million photographs.",
        "parameters": 1136.5,
        "gmacs": 299.4,
        "weights": "hub:timm/vit_giant_patch14_dinov2.lvd142m",
        "architecture": "vit_giant_patch14_dinov2.lvd142m",
        "levels": [19, 29, 39],
        "megabytes": 4546,
    },
    "dinov2_vits14_reg4": {
        "summary": "DINOv2 ViT-S/14 with four registers: self-supervised on 142 million photographs.",
        "parameters": 22.1,
        "gmacs": 6.2,
        "weights": "hub:timm/vit_small_patch14_reg4_dinov2.lvd142m",
        "architecture": "vit_small_patch14_reg4_dinov2.lvd142m",
        "levels": [5, 8, 11],
        "megabytes": 88,
        "paper": "https://arxiv.org/abs/2309.16588",
    },
    "dinov2_vitb14_reg4": {
        "summary": "DINOv2 ViT-B/14 with four registers: self-supervised on 142 million photographs.",
        "parameters": 86.6,
        "gmacs": 23.5,
        "weights": "hub:timm/vit_base_patch14_reg4_dinov2.lvd142m",
        "architecture": "vit_base_patch14_reg4_dinov2.lvd142m",
        "levels": [5, 8, 11],
        "megabytes": 346,
        "paper": "https://arxiv.org/abs/2309.16588",
    },
    "dinov2_vitl14_reg4": {
        "summary": "DINOv2 ViT-L/14 with four registers: self-supervised on 142 million photographs.",
        "parameters": 304.4,
        "gmacs": 82.3,
        "weights": "hub:timm/vit_large_patch14_reg4_dinov2.lvd142m",
        "architecture": "vit_large_patch14_reg4_dinov2.lvd142m",
        "levels": [11, 17, 23],
        "megabytes": 1217,
        "paper": "https://arxiv.org/abs/2309.16588",
    },
    "dinov2_vitg14_reg4": {
        "summary": "DINOv2 ViT-g/14 with four registers: self-supervised on 142 million photographs.",
        "parameters": 1136.5,
        "gmacs": 304.2,
        "weights": "hub:timm/vit_giant_patch14_reg4_dinov2.lvd142m",
        "architecture": "vit_giant_patch14_reg4_dinov2.lvd142m",
        "levels": [19, 29, 39],
        "megabytes": 4546,
        "paper": "https://arxiv.org/abs/2309.16588",
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
    """A frozen DINOv2 (Oquab et al., 2023), through timm: a class token before the cells, and behind it
    four registers in the entries named `_reg4` (Darcet et al., 2023), which were trained with them.

    Pooled: `cls` (default) and `mean`. Levels are block numbers from 0: early at half of the depth, mid at three
    quarters, late at the end, the fractions of DEO's taps (of 12 blocks 5, 8, 11, where DEO's are 8 and 11; of 24: 11,
    17, 23; of 40: 19, 29, 39); `levels` overrides the three, `block_N` names any other. `normed` applies the final
    LayerNorm to every level, as DEO does.

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
