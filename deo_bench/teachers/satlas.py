"""SatlasPretrain's Swin-v2: trained with labels of many kinds on Sentinel-2, nine bands or its true-colour image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from deo_bench.declarations import Count, Positive
from deo_bench.features import Features
from deo_bench.levels import named_levels
from deo_bench.libraries import import_library
from deo_bench.teachers import teacher, without_gradients
from deo_bench.teachers._multispectral import without_heads
from deo_bench.teachers._pyramid import TimmPyramid
from deo_bench.teachers._satlas import true_colour
from deo_bench.teachers._timm import View, fitted

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "swin_v2_t": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]},
    "swin_v2_b": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32]},
}
"""torchvision's arguments by its names; its functions of these names cannot make them smaller."""

ENTRIES = {
    "satlas_swinv2_tiny_ms": {
        "summary": "Swin-v2-T by SatlasPretrain: nine bands of Sentinel-2, supervised on single images.",
        "parameters": 27.6,
        "gmacs": 5.0,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_swint_si_ms-bc68e396.pth",
        "checksum": "bc68e396",
        "megabytes": 110,
        "torchgeo": "Swin_V2_T_Weights.SENTINEL2_SI_MS_SATLAS",
        "architecture": "swin_v2_t",
        "bands": ["s2_9"],
        "levels": [2, 3, 4],
    },
    "satlas_swinv2_tiny_ms_mi": {
        "summary": "Swin-v2-T by SatlasPretrain: nine bands of Sentinel-2, supervised on image series.",
        "parameters": 27.6,
        "gmacs": 5.0,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_swint_mi_ms-d8c659e3.pth",
        "checksum": "d8c659e3",
        "megabytes": 110,
        "torchgeo": "Swin_V2_T_Weights.SENTINEL2_MI_MS_SATLAS",
        "architecture": "swin_v2_t",
        "bands": ["s2_9"],
        "levels": [2, 3, 4],
    },
    "satlas_swinv2_tiny_rgb": {
        "summary": "Swin-v2-T by SatlasPretrain: red, green and blue of Sentinel-2, supervised on single images.",
        "parameters": 27.6,
        "gmacs": 4.9,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_swint_si_rgb-0c1a96e0.pth",
        "checksum": "0c1a96e0",
        "megabytes": 110,
        "torchgeo": "Swin_V2_T_Weights.SENTINEL2_SI_RGB_SATLAS",
        "architecture": "swin_v2_t",
        "bands": ["rgb"],
        "levels": [2, 3, 4],
    },
    "satlas_swinv2_tiny_rgb_mi": {
        "summary": "Swin-v2-T by SatlasPretrain: red, green and blue of Sentinel-2, supervised on image series.",
        "parameters": 27.6,
        "gmacs": 4.9,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_swint_mi_rgb-424d91f4.pth",
        "checksum": "424d91f4",
        "megabytes": 110,
        "torchgeo": "Swin_V2_T_Weights.SENTINEL2_MI_RGB_SATLAS",
        "architecture": "swin_v2_t",
        "bands": ["rgb"],
        "levels": [2, 3, 4],
    },
    "satlas_swinv2_base_ms": {
        "summary": "Swin-v2-B by SatlasPretrain: nine bands of Sentinel-2, supervised on single images.",
        "parameters": 86.9,
        "gmacs": 17.1,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_swinb_si_ms-fe22a12c.pth",
        "checksum": "fe22a12c",
        "megabytes": 348,
        "torchgeo": "Swin_V2_B_Weights.SENTINEL2_SI_MS_SATLAS",
        "architecture": "swin_v2_b",
        "bands": ["s2_9"],
        "levels": [2, 3, 4],
    },
    "satlas_swinv2_base_ms_mi": {
        "summary": "Swin-v2-B by SatlasPretrain: nine bands of Sentinel-2, supervised on image series.",
        "parameters": 86.9,
        "gmacs": 17.1,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_swinb_mi_ms-39c86721.pth",
        "checksum": "39c86721",
        "megabytes": 348,
        "torchgeo": "Swin_V2_B_Weights.SENTINEL2_MI_MS_SATLAS",
        "architecture": "swin_v2_b",
        "bands": ["s2_9"],
        "levels": [2, 3, 4],
    },
    "satlas_swinv2_base_rgb": {
        "summary": "Swin-v2-B by SatlasPretrain: red, green and blue of Sentinel-2, supervised on single images.",
        "parameters": 86.9,
        "gmacs": 17.0,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_swinb_si_rgb-156a98d5.pth",
        "checksum": "156a98d5",
        "megabytes": 348,
        "torchgeo": "Swin_V2_B_Weights.SENTINEL2_SI_RGB_SATLAS",
        "architecture": "swin_v2_b",
        "bands": ["rgb"],
        "levels": [2, 3, 4],
    },
    "satlas_swinv2_base_rgb_mi": {
        "summary": "Swin-v2-B by SatlasPretrain: red, green and blue of Sentinel-2, supervised on image series.",
        "parameters": 86.9,
        "gmacs": 17.0,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_swinb_mi_rgb-4efa210c.pth",
        "checksum": "4efa210c",
        "megabytes": 348,
        "torchgeo": "Swin_V2_B_Weights.SENTINEL2_MI_RGB_SATLAS",
        "architecture": "swin_v2_b",
        "bands": ["rgb"],
        "levels": [2, 3, 4],
    },
}


# The licence is what torchgeo's table of weights says.
@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2211.15660",
    licence="ODC-BY",
    licence_url="https://github.com/torchgeo/torchgeo/blob/1a7c2b775787458cba0b603deacd80f2f4844397/docs/api/weights/sentinel2.csv",
    gated=False,
    trained_on=["SatlasPretrain"],
    library="torchgeo",
)
class Satlas(TimmPyramid):
    """A frozen Swin-v2 of SatlasPretrain (Bastani et al., 2023), on torchvision's architecture, which torchgeo brings.
    The files are those of torchgeo's table.

    Red, green and blue are wanted as ESA's 8-bit true-colour image (TCI) over 255, where reflectance `white` and above
    is 255; the others as digital numbers over 8,160; all are clipped to [0, 1], as Satlas' own code does. Colours that
    come in 8 bits are taken for such an image; those in digital numbers are stretched to it, without its 256 levels.
    Those trained on several images of a place (`_mi`) see one here, as their backbone does before it takes the maximum
    over images.

    Pooled: `mean` of the last stage's cells. Levels are stages from 1, of strides 4, 8, 16 and 32, as they leave their
    last block: early 2, mid 3, late 4; `levels` overrides the three, `stage_N` names any other. `normed` applies the
    final LayerNorm to the last stage and to what is pooled from it; Satlas takes its features without it and did not
    train it.

    file: weights of the user's own, in torchvision's names, instead of the hub's; size: pixels that the shortest
    side is resized to first; white: 0.3558 in ESA's images of Level-1C, trained on here, 0.2 in those of Level-2A.
    """

    narrow: ClassVar[dict[str, Any]] = {"embed_dim": 24, "num_heads": [1, 2, 4, 8], "depths": [1, 1, 2, 1]}

    def __init__(
        self,
        name: str,
        load: bool = True,
        *,
        file: Path | None = None,
        size: Count | None = None,
        white: Positive = 0.3558,
        normed: bool = False,
        levels: list[int] | None = None,
    ) -> None:
        super().__init__(name, ENTRIES[name], load, without_heads, file, size, white, normed, levels)

    @without_gradients
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """The mean of the last stage's cells, and the maps of the levels wanted."""
        cells, stages = fitted(pixels, max(self.strides), self.size), []
        for number, layer in enumerate(self.model.features):
            cells = layer(cells)
            if number % 2:  # blocks; those before them make fewer cells
                stages.append(cells)
        if self.normed:
            stages[-1] = self.model.norm(stages[-1])
        maps = [stage.permute(0, 3, 1, 2) for stage in stages]
        return Features({"mean": maps[-1].mean((2, 3))}, {n: maps[self._stage(n) - 1] for n in levels}, self.default)

    def _views(self, entry: Mapping[str, Any], white: float) -> Sequence[View]:
        return true_colour(entry, white)

    def _architecture(self, name: str) -> Any:
        # torchvision comes with torchgeo, and is reached through it.
        library = import_library("torchgeo.models.swin", f"teacher {self.name}").torchvision
        swin = library.models.swin_transformer
        made = {**ARCHITECTURES[name], **self.overrides}
        model = swin.SwinTransformer(
            patch_size=[4, 4],
            window_size=[8, 8],
            block=swin.SwinTransformerBlockV2,
            downsample_layer=swin.PatchMergingV2,
            **made,
        )
        model.features[0][0] = nn.Conv2d(len(self.band_sets[self.first]), made["embed_dim"], 4, 4)
        model.head = nn.Identity()
        return model

    def _declare(self, entry: Mapping[str, Any], levels: Sequence[int] | None) -> None:
        width = int(self.model.features[0][0].out_channels)
        self.strides = [4, 8, 16, 32]
        self.widths = [width * 2**number for number in range(len(self.strides))]
        self.stages = range(1, len(self.strides) + 1)
        self.pooled_dims = {"mean": self.widths[-1]}
        self.levels = named_levels(levels, entry["levels"], self.stages)
