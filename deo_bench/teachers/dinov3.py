"""DINOv3: vision transformers by Meta, distilled from a 7-billion-parameter model."""

from __future__ import annotations

from pathlib import Path

from timm.models.eva import checkpoint_filter_fn

from deo_bench.declarations import Count, Positive
from deo_bench.teachers import teacher
from deo_bench.teachers._vit import TimmVit

ENTRIES = {
    "dinov3_vits16": {
        "summary": "DINOv3 ViT-S/16: self-supervised on 1,689 million photographs.",
        "parameters": 21.6,
        "gmacs": 4.7,
        "weights": "hub:timm/vit_small_patch16_dinov3.lvd1689m",
        "architecture": "vit_small_patch16_dinov3.lvd1689m",
        "levels": [5, 8, 11],
        "megabytes": 86,
    },
    "dinov3_vitsplus16": {
        "summary": "DINOv3 ViT-S+/16: self-supervised on 1,689 million photographs.",
        "parameters": 28.7,
        "gmacs": 6.1,
        "weights": "hub:timm/vit_small_plus_patch16_dinov3.lvd1689m",
        "architecture": "vit_small_plus_patch16_dinov3.lvd1689m",
        "levels": [5, 8, 11],
        "megabytes": 115,
    },
    "dinov3_vitb16": {
        "summary": "DINOv3 ViT-B/16: self-supervised on 1,689 million photographs.",
        "parameters": 85.6,
        "gmacs": 17.9,
        "weights": "hub:timm/vit_base_patch16_dinov3.lvd1689m",
        "architecture": "vit_base_patch16_dinov3.lvd1689m",
        "levels": [5, 8, 11],
        "megabytes": 343,
    },
    "dinov3_vitl16": {
        "summary": "DINOv3 ViT-L/16: self-supervised on 1,689 million photographs.",
        "parameters": 303.1,
        "gmacs": 62.8,
        "weights": "hub:timm/vit_large_patch16_dinov3.lvd1689m",
        "architecture": "vit_large_patch16_dinov3.lvd1689m",
        "levels": [11, 17, 23],
        "megabytes": 1212,
    },
    "dinov3_vithplus16": {
        "summary": "DINOv3 ViT-H+/16: self-supervised on 1,689 million photographs.",
        "parameters": 840.5,
        "gmacs": 172.1,
        "weights": "hub:timm/vit_huge_plus_patch16_dinov3.lvd1689m",
        "architecture": "vit_huge_plus_patch16_dinov3.lvd1689m",
        "levels": [15, 23, 31],
        "megabytes": 3362,
    },
    "dinov3_vit7b16": {
        "summary": "DINOv3 ViT-7B/16: self-supervised on 1,689 million photographs.",
        "parameters": 6716.0,
        "gmacs": 1362.7,
        "weights": "hub:timm/vit_7b_patch16_dinov3.lvd1689m",
        "architecture": "vit_7b_patch16_dinov3.lvd1689m",
        "levels": [19, 29, 39],
        "megabytes": 26864,
    },
    "dinov3_vitl16_sat": {
        "summary": "DINOv3 ViT-L/16: self-supervised on 493 million satellite images of 0.6 m.",
        "parameters": 303.1,
        "gmacs": 62.8,
        "weights": "hub:timm/vit_large_patch16_dinov3.sat493m",
        "architecture": "vit_large_patch16_dinov3.sat493m",
        "levels": [11, 17, 23],
        "megabytes": 1212,
        "mean": [0.43, 0.411, 0.296],
        "std": [0.213, 0.156, 0.143],
        "trained_on": ["SAT-493M"],
    },
    "dinov3_vit7b16_sat": {
        "summary": "DINOv3 ViT-7B/16: self-supervised on 493 million satellite images of 0.6 m.",
        "parameters": 6716.0,
        "gmacs": 1362.7,
        "weights": "hub:timm/vit_7b_patch16_dinov3.sat493m",
        "architecture": "vit_7b_patch16_dinov3.sat493m",
        "levels": [19, 29, 39],
        "megabytes": 26864,
        "mean": [0.43, 0.411, 0.296],
        "std": [0.213, 0.156, 0.143],
        "trained_on": ["SAT-493M"],
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

    Pooled: `cls` (default) and `mean`. Levels are block numbers from 0: early at half of the depth, mid at three
    quarters, late at the end, the fractions of DEO's taps (of 12 blocks 5, 8, 11, where DEO's are 8 and 11; of 24: 11,
    17, 23; of 32: 15, 23, 31; of 40: 19, 29, 39); `levels` overrides the three, `block_N` names any other. `normed`
    applies the final LayerNorm to every level, as DEO does.

    The `_sat` entries were trained on SAT-493M and bring the mean and spread of its RGB with them; all others are
    normalised as ImageNet.

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
