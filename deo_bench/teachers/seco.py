"""Seasonal Contrast: ResNets that were trained on the seasons of places seen by Sentinel-2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deo_bench.bands import BAND_SETS, WHITE
from deo_bench.declarations import Count
from deo_bench.teachers import teacher
from deo_bench.teachers._multispectral import MultispectralResNet, without_heads
from deo_bench.teachers._stretched import stretched
from deo_bench.teachers._timm import IMAGENET_MEAN, IMAGENET_STD, View

DARKEST = (0 / 255, 2 / 255, 3 / 255)
BRIGHTEST = (129 / 255, 103 / 255, 88 / 255)
"""Reflectances of red, green and blue that become 0 and 1: quantiles of SeCo's images, which keep reflectance 1 as 255
(its code, `seco_dataset.py` and `seco_downloader.py`)."""

ENTRIES = {
    "seco_resnet18": {
        "summary": "ResNet-18 by Seasonal Contrast: red, green and blue of Sentinel-2, self-supervised over seasons.",
        "parameters": 11.2,
        "gmacs": 1.8,
        "weights": "hub:torchgeo/resnet18_sentinel2_rgb_seco@f8dcee692cf7142163b55a5c197d981fe0e717a0",
        "filename": "resnet18_sentinel2_rgb_seco-cefca942.pth",
        "checksum": "cefca942",
        "megabytes": 45,
        "torchgeo": "ResNet18_Weights.SENTINEL2_RGB_SECO",
        "architecture": "resnet18",
        "bands": ["rgb"],
        "levels": [3, 4, 5],
    },
    "seco_resnet50": {
        "summary": "ResNet-50 by Seasonal Contrast: red, green and blue of Sentinel-2, self-supervised over seasons.",
        "parameters": 23.5,
        "gmacs": 4.1,
        "weights": "hub:torchgeo/resnet50_sentinel2_rgb_seco@fbd07b02a8edb8fc1035f7957160deed4321c145",
        "filename": "resnet50_sentinel2_rgb_seco-018bf397.pth",
        "checksum": "018bf397",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_RGB_SECO",
        "architecture": "resnet50",
        "bands": ["rgb"],
        "levels": [3, 4, 5],
    },
    "seco_eco_resnet50": {
        "summary": "ResNet-50 by Seasonal Contrast on SSL4Eco: 12 bands of Sentinel-2, by local seasons of vegetation.",
        "parameters": 23.5,
        "gmacs": 4.4,
        "weights": "hub:torchgeo/seco-eco@aea279ea46572cfca5876ac1f9d8d8595fcdeb3b",
        "filename": "resnet50_sentinel2_all_seco_eco-90ec322f.pth",
        "checksum": "90ec322f",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_ALL_SECO_ECO",
        "architecture": "resnet50",
        "bands": ["s2_12"],
        "levels": [3, 4, 5],
        "paper": "https://arxiv.org/abs/2504.18256",
        "trained_on": ["SSL4Eco Dataset"],
        "licence": "MIT",
    },
}


# The licences are what torchgeo's table of weights says.
@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2103.16607",
    licence="Apache-2.0",
    licence_url="https://github.com/torchgeo/torchgeo/blob/1a7c2b775787458cba0b603deacd80f2f4844397/docs/api/weights/sentinel2.csv",
    gated=False,
    trained_on=["SeCo Dataset"],
)
class Seco(MultispectralResNet):
    """A frozen ResNet by Seasonal Contrast (Mañas et al., 2021), or by SeCo-Eco (Plekhanova et al., 2025). The files
    are those of torchgeo's table.

    SeCo's see red, green and blue of Level-2A as its own code shows them: each band stretched between two quantiles,
    clipped to [0, 1], then normalised as ImageNet (the code also cuts to 256 levels, which is not done here).
    torchgeo's transform takes the same quantiles in the order of blue, green, red and multiplies by 255 before
    ImageNet's mean; that is not followed. SeCo-Eco's sees 12 bands as digital numbers over 10,000. Pooled: `mean`.
    Levels are stages from 1, of strides 2 (the stem), 4, 8, 16 and 32: early 3, mid 4, late 5; `levels` overrides the
    three, `stage_N` names any other.

    file: weights of the user's own, in timm's names, instead of the hub's; size: pixels that the shortest side is
    resized to first.
    """

    def __init__(
        self,
        name: str,
        load: bool = True,
        *,
        file: Path | None = None,
        size: Count | None = None,
        levels: list[int] | None = None,
    ) -> None:
        super().__init__(name, ENTRIES[name], load, without_heads, file, size, WHITE, True, levels)

    def _views(self, entry: Mapping[str, Any], white: float) -> Sequence[View]:
        if entry["bands"] != ["rgb"]:
            return super()._views(entry, white)
        return [("rgb", BAND_SETS["rgb"], stretched("reflectance", DARKEST, BRIGHTEST, IMAGENET_MEAN, IMAGENET_STD))]
