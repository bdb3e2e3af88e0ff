"""Any model of timm's as a teacher, by its name there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deo_bench.declarations import Count, Positive
from deo_bench.teachers import teacher
from deo_bench.teachers._delegate import Delegate
from deo_bench.teachers._pyramid import TimmPyramid
from deo_bench.teachers._timm import conversion, entry_of, is_vit
from deo_bench.teachers._vit import TimmVit


@teacher(
    "timm",
    paper="https://doi.org/10.5281/zenodo.4414861",
    licence="the model's own",
    weights="hub:timm/{model}",
    gated=False,
    trained_on=["unknown"],
)
class Timm(Delegate):
    """Any model of timm's (Wightman, 2019), frozen, its RGB normalised as its own configuration says.

    model: timm's name, a dot, and which of its weights, `resnet50.a1_in1k`; with `file` the weights may be left out.
    What it was trained on is in no card here, so no table can mark it as having seen a task.

    Plain vision transformers: pooled `cls` (default, where there is a class token) and `mean`, levels as block
    numbers from 0, early at half of the depth, mid at three quarters, late at the end. All others are taken as
    pyramids (ResNet, ConvNeXt, Swin): pooled `mean`, which is what timm's own head pools, levels as stages from 1 in
    timm's order (a ResNet's first is its stem), the last three. `levels` overrides them, `block_N` or `stage_N`
    names any other. `normed` applies the final norm where timm does: to all blocks, to a pyramid's last stage.

    file: weights of the user's own in timm's names instead of the hub's; size: pixels that the shortest side is
    resized to first; white: the reflectance shown as white. Models for images of one size only are refused.
    """

    def __init__(
        self,
        load: bool = True,
        *,
        model: str = "vit_base_patch16_224.augreg_in21k",
        file: Path | None = None,
        size: Count | None = None,
        white: Positive = 0.3,
        normed: bool = True,
        levels: list[int] | None = None,
    ) -> None:
        entry = entry_of(model, needs_weights=load and file is None)
        family = TimmVit if is_vit(model) else TimmPyramid
        super().__init__(family("timm", entry, load, conversion, file, size, white, normed, levels))

    @classmethod
    def refuse(cls, options: Mapping[str, Any]) -> None:
        """A name that timm does not have, or whose weights are elsewhere."""
        entry_of(str(options["model"]), needs_weights=True)
