"""SatlasPretrain's ResNets: trained with labels of many kinds on Sentinel-2, nine bands or its true-colour image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deo_bench.declarations import Count, Positive
from deo_bench.teachers import teacher
from deo_bench.teachers._multispectral import MultispectralResNet, without_heads
from deo_bench.teachers._satlas import true_colour
from deo_bench.teachers._timm import View

ENTRIES = {
    "satlas_resnet50_ms": {
        "summary": "ResNet-50 by SatlasPretrain: nine bands of Sentinel-2, supervised on single images.",
        "parameters": 23.5,
        "gmacs": 4.3,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_resnet50_si_ms-1f454cc6.pth",
        "checksum": "1f454cc6",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_SI_MS_SATLAS",
        "architecture": "resnet50",
        "bands": ["s2_9"],
        "levels": [3, 4, 5],
    },
    "satlas_resnet50_ms_mi": {
        "summary": "ResNet-50 by SatlasPretrain: nine bands of Sentinel-2, supervised on image series.",
        "parameters": 23.5,
        "gmacs": 4.3,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_resnet50_mi_ms-da5413d2.pth",
        "checksum": "da5413d2",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_MI_MS_SATLAS",
        "architecture": "resnet50",
        "bands": ["s2_9"],
        "levels": [3, 4, 5],
    },
    "satlas_resnet50_rgb": {
        "summary": "ResNet-50 by SatlasPretrain: red, green and blue of Sentinel-2, supervised on single images.",
        "parameters": 23.5,
        "gmacs": 4.1,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_resnet50_si_rgb-45fc6972.pth",
        "checksum": "45fc6972",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_SI_RGB_SATLAS",
        "architecture": "resnet50",
        "bands": ["rgb"],
        "levels": [3, 4, 5],
    },
    "satlas_resnet50_rgb_mi": {
        "summary": "ResNet-50 by SatlasPretrain: red, green and blue of Sentinel-2, supervised on image series.",
        "parameters": 23.5,
        "gmacs": 4.1,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_resnet50_mi_rgb-e79bb7fe.pth",
        "checksum": "e79bb7fe",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_MI_RGB_SATLAS",
        "architecture": "resnet50",
        "bands": ["rgb"],
        "levels": [3, 4, 5],
    },
    "satlas_resnet152_ms": {
        "summary": "ResNet-152 by SatlasPretrain: nine bands of Sentinel-2, supervised on single images.",
        "parameters": 58.2,
        "gmacs": 11.7,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_resnet152_si_ms-4500c6cb.pth",
        "checksum": "4500c6cb",
        "megabytes": 233,
        "torchgeo": "ResNet152_Weights.SENTINEL2_SI_MS_SATLAS",
        "architecture": "resnet152",
        "bands": ["s2_9"],
        "levels": [3, 4, 5],
    },
    "satlas_resnet152_ms_mi": {
        "summary": "ResNet-152 by SatlasPretrain: nine bands of Sentinel-2, supervised on image series.",
        "parameters": 58.2,
        "gmacs": 11.7,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_resnet152_mi_ms-fd35b4bb.pth",
        "checksum": "fd35b4bb",
        "megabytes": 233,
        "torchgeo": "ResNet152_Weights.SENTINEL2_MI_MS_SATLAS",
        "architecture": "resnet152",
        "bands": ["s2_9"],
        "levels": [3, 4, 5],
    },
    "satlas_resnet152_rgb": {
        "summary": "ResNet-152 by SatlasPretrain: red, green and blue of Sentinel-2, supervised on single images.",
        "parameters": 58.1,
        "gmacs": 11.5,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_resnet152_si_rgb-f4d24c3c.pth",
        "checksum": "f4d24c3c",
        "megabytes": 233,
        "torchgeo": "ResNet152_Weights.SENTINEL2_SI_RGB_SATLAS",
        "architecture": "resnet152",
        "bands": ["rgb"],
        "levels": [3, 4, 5],
    },
    "satlas_resnet152_rgb_mi": {
        "summary": "ResNet-152 by SatlasPretrain: red, green and blue of Sentinel-2, supervised on image series.",
        "parameters": 58.1,
        "gmacs": 11.5,
        "weights": "hub:torchgeo/satlas@081d6607431bf36bdb59c223777cbb267131b8f2",
        "filename": "sentinel2_resnet152_mi_rgb-67563ac5.pth",
        "checksum": "67563ac5",
        "megabytes": 233,
        "torchgeo": "ResNet152_Weights.SENTINEL2_MI_RGB_SATLAS",
        "architecture": "resnet152",
        "bands": ["rgb"],
        "levels": [3, 4, 5],
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
)
class SatlasResNet(MultispectralResNet):
    """A frozen ResNet of SatlasPretrain (Bastani et al., 2023). The files are those of torchgeo's table.

    Red, green and blue are wanted as ESA's 8-bit true-colour image (TCI) over 255, where reflectance `white` and above
    is 255; the others as digital numbers over 8,160; all are clipped to [0, 1], as Satlas' own code does. Colours that
    come in 8 bits are taken for such an image; those in digital numbers are stretched to it, without its 256 levels.
    Those trained on several images of a place (`_mi`) see one here, as their backbone does before it takes the maximum
    over images.

    Pooled: `mean`. Levels are stages from 1, of strides 2 (the stem), 4, 8, 16 and 32: early 3, mid 4, late 5;
    `levels` overrides the three, `stage_N` names any other.

    file: weights of the user's own, in timm's names, instead of the hub's; size: pixels that the shortest
    side is resized to first; white: 0.3558 in ESA's images of Level-1C, trained on here, 0.2 in those of Level-2A.
    """

    def __init__(
        self,
        name: str,
        load: bool = True,
        *,
        file: Path | None = None,
        size: Count | None = None,
        white: Positive = 0.3558,
        levels: list[int] | None = None,
    ) -> None:
        super().__init__(name, ENTRIES[name], load, without_heads, file, size, white, True, levels)

    def _views(self, entry: Mapping[str, Any], white: float) -> Sequence[View]:
        return true_colour(entry, white)
