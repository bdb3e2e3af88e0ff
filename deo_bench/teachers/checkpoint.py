"""A checkpoint of another's as a teacher: one of timm's architectures, filled from a file of any layout of names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from deo_bench.declarations import Count, Positive
from deo_bench.errors import UserError
from deo_bench.teachers import teacher
from deo_bench.teachers._delegate import Delegate
from deo_bench.teachers._foreign import Reading, family_of, seen_as


@teacher("checkpoint", weights="file", licence="the file's own", gated=False, trained_on=["unknown"])
class Checkpoint(Delegate):
    """A file of another's, frozen: one of timm's architectures, with whatever bands and normalisation it was fed.

    file: `.safetensors`, a torch checkpoint that needs no code to be read, or a folder as the hub keeps models in;
    model: timm's name of the architecture; settings: arguments of timm's for it (`{ img_size = 96 }`).

    bands: a band set's name, or bands in the file's order; unit: what their pixels are in (`dn`, `reflectance`,
    `uint8`, `display`), then minus `mean` over `std`, a number for all bands or one for each. Both may be left out
    for RGB as `display`, which is then normalised as ImageNet; `white` is the reflectance shown as white.

    key: where in the file the tensors are (`teacher`), found by itself where it is usual; prefix: what the names of
    the backbone start with (`module.backbone.`), all others are left out; drop: what the names of further ones start
    with that are left out (`decoder`, `mask_token`). A classifier is left out by itself. What then remains has to be
    the whole network, name by name and shape by shape; timm converts the names of its own older files, and
    resamples positions of another grid.

    Vision transformers: pooled `cls` (default, where there is a class token) and `mean`, levels as blocks from 0, as
    of `timm`; all others are taken as pyramids: pooled `mean`, levels as stages from 1. `normed` applies the final
    norm where timm does; size: pixels that the shortest side is resized to first.
    """

    def __init__(
        self,
        load: bool = True,
        *,
        file: Path | None = None,
        model: str = "vit_small_patch16_224",
        bands: str | list[str] = "rgb",
        unit: Literal["dn", "reflectance", "uint8", "display"] = "display",
        mean: float | list[float] | None = None,
        std: float | list[float] | None = None,
        white: Positive = 0.3,
        key: str = "",
        prefix: str = "",
        drop: list[str] | None = None,
        settings: dict[str, Any] | None = None,
        size: Count | None = None,
        normed: bool = True,
        levels: list[int] | None = None,
    ) -> None:
        view = seen_as(bands, unit, mean, std, white)
        reading = Reading(key, prefix, tuple(drop or ()), _arguments(settings or {}))
        entry = {"architecture": model, "weights": "file", "view": view, "reading": reading}
        super().__init__(
            family_of(model)("checkpoint", entry, load, reading.converted, file, size, white, normed, levels)
        )


def _arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for timm; without a class token the vector is a mean, of cells that had the usual norm."""
    taken = {"num_classes", "in_chans", "pretrained"} & set(settings)
    if taken:
        raise UserError(f"settings: {', '.join(sorted(taken))} is not yours to set: bands and file say it")
    usual = {"global_pool": "avg", "fc_norm": False} if settings.get("class_token") is False else {}
    return {**usual, **settings}
