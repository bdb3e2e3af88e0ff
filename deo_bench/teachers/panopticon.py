"""Panopticon: DINOv2 that attends over any channels by their wavelengths before it sees the image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import timm
import torch
from torch import Tensor, nn

from deo_bench.bands import BAND_SETS, BANDS
from deo_bench.declarations import Count, Positive
from deo_bench.libraries import import_library
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import teacher
from deo_bench.teachers._blocks import BlockTeacher, with_positions

ENTRIES = {
    "panopticon_vitb14": {
        "summary": "Panopticon ViT-B/14: DINOv2 carried on over sensors of any channels, told by their wavelengths.",
        "parameters": 99.0,
        "gmacs": 60.3,
        "weights": "hub:lewaldm/panopticon@c8c2bb9555819e8b2bcedf5b3b00e3bf531554e7",
        "filename": "panopticon_vitb14_teacher.pth",
        "megabytes": 396,
        "architecture": "panopticon_vitb14",
    },
}
NATIVE, PATCH, HEADS = 518, 14, 16
_MEAN: tuple[float, ...] = (
    1569.1970,
    1383.9951,
    1338.4231,
    1408.1113,
    1537.2856,
    1926.5183,
    2136.5127,
    2033.4019,
    2262.4558,
)
_MEAN += (674.1297, 16.7465, 2027.3674, 1501.4686)
_STD: tuple[float, ...] = (517.7932, 595.0351, 690.2477, 994.7734, 994.4599, 1079.4558, 1192.3668, 1170.9979, 1278.2103)
_STD += (474.7933, 15.1294, 1362.3807, 1134.5983)
TRAINED = dict(zip(BAND_SETS["s2_13"], zip(_MEAN, _STD, strict=True), strict=True))
"""Mean and standard deviation of fMoW's Sentinel-2 in digital numbers, as its `datasets/fmow.py` has them."""

RGB_MEAN, RGB_STD = (104.55944, 106.19051, 100.09525), (68.97790, 66.91166, 69.09506)
"""Of fMoW's RGB in 0 to 255, from the same file."""

CHANNELS = {band: int(BANDS[band].wavelength) for band in BAND_SETS["s2_13"]} | {"B04": 664, "B03": 559, "B02": 493}
"""Whole nanometres; red, green and blue as its README has them."""


@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2503.10845",
    licence="Apache-2.0",
    licence_url="https://github.com/torchgeo/torchgeo/blob/009d295fbb0c9b251db5fa99d4fa76931370764f/docs/api/weights/agnostic.csv",
    gated=False,
    trained_on=["fMoW", "SatlasPretrain", "MMEarth", "SpectralEarth"],
    library="torchgeo",
    bands=["s2_13", "s2_12", "s2_10", "rgb"],
)
class Panopticon(BlockTeacher):
    """A frozen Panopticon (Waldmann et al., 2025), through torchgeo: each channel is known by its wavelength in nm.

    Band sets: `s2_13` (the default), `s2_12`, `s2_10`, all z-scores of digital numbers by the statistics of fMoW's
    Sentinel-2 in its own code, and `rgb`, as shown on a screen, by those of fMoW's RGB.

    Pooled: `cls` (the default, torchgeo's `forward`) and `mean` of the cells, after the final norm. Maps are of the
    blocks that `levels` names, from 0 (half of the depth, three quarters, the end), or `block_N`; `normed` puts the
    final norm on each.

    Images of any size: those that are no multiple of the patch are resized to the next. It was trained at 224 px, with
    positions for 518 px that are resampled (bicubic), as torchgeo does once for a fixed size.

    file: weights of the user's own instead of the hub's; size: pixels that the shortest side is resized to first;
    white: the reflectance shown as white, for `rgb`.
    """

    narrow: ClassVar[dict[str, Any]] = {"embed_dim": 48, "num_heads": 3, "attn_dim": 96}
    extra = ("mask_token",)

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
        sees = {}
        for key in ("s2_13", "s2_12", "s2_10"):
            mean, std = zip(*(TRAINED[band] for band in BAND_SETS[key]), strict=True)
            sees[key] = Normalisation("dn", mean, std)
        mean, std = (tuple(value / 255 for value in values) for values in (RGB_MEAN, RGB_STD))
        sees["rgb"] = Normalisation("display", mean, std, white)
        given: dict[str, Any] = {"file": file, "size": size, "normed": normed, "levels": levels}
        super().__init__(name, ENTRIES[name], load, sees, patch=PATCH, **given)

    def _architecture(self, entry: Mapping[str, Any], who: str) -> Any:
        library = import_library("torchgeo.models.panopticon", who)
        shape = {"attn_dim": 2304, "embed_dim": 768, "num_heads": 12, **self.overrides}
        channels = shape.pop("attn_dim")
        # As its constructor does, which cannot be asked for another width or depth.
        model = timm.create_model("vit_base_patch14_dinov2", **shape)
        fusion = {"attn_cfg": {"num_heads": HEADS}}
        model.patch_embed = library.PanopticonPE(channels, shape["embed_dim"], PATCH, fusion, NATIVE)
        self.pooled_dims, self.default = dict.fromkeys(("cls", "mean"), shape["embed_dim"]), "cls"
        return model

    def _blocks(self) -> nn.ModuleList:
        blocks: nn.ModuleList = self.model.blocks
        return blocks

    def _tokens(self, pixels: Tensor, sees: str, grid: list[int]) -> Tensor:
        channels = torch.tensor([CHANNELS[band] for band in self.band_sets[sees]], device=pixels.device)
        known = {"imgs": pixels, "chn_ids": channels.repeat(len(pixels), 1)}
        return with_positions(self.model.patch_embed(known), self.model.cls_token, self.model.pos_embed, grid)

    def _pooled(self, tokens: Tensor) -> dict[str, Tensor]:
        last = self._norm(tokens)
        return {"cls": last[:, 0], "mean": last[:, 1:].mean(1)}

    def _norm(self, tokens: Tensor) -> Tensor:
        after: Tensor = self.model.norm(tokens)
        return after
