"""DINOv3's convolutional networks: ConvNeXts by Meta, distilled from a 7-billion-parameter vision transformer."""

from __future__ import annotations

from pathlib import Path

from timm.models.convnext import checkpoint_filter_fn
from torch import Tensor

from deo_bench.declarations import Count, Positive
from deo_bench.teachers import teacher
from deo_bench.teachers._pyramid import TimmPyramid

ENTRIES = {
    "dinov3_convnext_tiny": {
        "summary": "DINOv3 ConvNeXt-Tiny: distilled from the 7-billion-parameter model on 1,689 million photographs.",
        "parameters": 27.8,
        "gmacs": 4.5,
        "weights": "hub:timm/convnext_tiny.dinov3_lvd1689m",
        "architecture": "convnext_tiny.dinov3_lvd1689m",
        "levels": [2, 3, 4],
        "megabytes": 111,
    },
    "dinov3_convnext_small": {
        "summary": "DINOv3 ConvNeXt-Small: distilled from the 7-billion-parameter model on 1,689 million photographs.",
        "parameters": 49.5,
        "gmacs": 8.7,
        "weights": "hub:timm/convnext_small.dinov3_lvd1689m",
        "architecture": "convnext_small.dinov3_lvd1689m",
        "levels": [2, 3, 4],
        "megabytes": 198,
    },
    "dinov3_convnext_base": {
        "summary": "DINOv3 ConvNeXt-Base: distilled from the 7-billion-parameter model on 1,689 million photographs.",
        "parameters": 87.6,
        "gmacs": 15.4,
        "weights": "hub:timm/convnext_base.dinov3_lvd1689m",
        "architecture": "convnext_base.dinov3_lvd1689m",
        "levels": [2, 3, 4],
        "megabytes": 350,
    },
    "dinov3_convnext_large": {
        "summary": "DINOv3 ConvNeXt-Large: distilled from the 7-billion-parameter model on 1,689 million photographs.",
        "parameters": 196.2,
        "gmacs": 34.4,
        "weights": "hub:timm/convnext_large.dinov3_lvd1689m",
        "architecture": "convnext_large.dinov3_lvd1689m",
        "levels": [2, 3, 4],
        "megabytes": 785,
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
class DinoV3ConvNext(TimmPyramid):
    """A frozen DINOv3 ConvNeXt (Siméoni et al., 2025), through timm.

    Pooled: `mean`, of the last stage's cells, then the final LayerNorm. Levels are stages from 1, of strides 4, 8, 16
    and 32: early 2, mid 3, late 4; `levels` overrides the three, `stage_N` names any other. `normed` applies the final
    LayerNorm to the last stage, the only one of its width, as Meta's code does.

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

    def normed_last(self, cells: Tensor) -> Tensor:
        """The LayerNorm that timm keeps in the head, cell by cell."""
        found: Tensor = self.model.head.norm(cells)
        return found
