"""ResNets that were trained without labels on SSL4EO-S12, on all bands of Sentinel-2 or on its colours."""

from __future__ import annotations

from pathlib import Path

from deo_bench.bands import WHITE
from deo_bench.declarations import Count
from deo_bench.teachers import teacher
from deo_bench.teachers._multispectral import MultispectralResNet, without_heads

ENTRIES = {
    "ssl4eo_resnet18_moco": {
        "summary": "ResNet-18 by MoCo on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 11.2,
        "gmacs": 2.2,
        "weights": "hub:torchgeo/resnet18_sentinel2_all_moco@5b8cddc9a14f3844350b7f40b85bcd32aed75918",
        "filename": "resnet18_sentinel2_all_moco-59bfdff9.pth",
        "checksum": "59bfdff9",
        "megabytes": 45,
        "torchgeo": "ResNet18_Weights.SENTINEL2_ALL_MOCO",
        "architecture": "resnet18",
        "bands": ["s2_13"],
        "levels": [3, 4, 5],
    },
    "ssl4eo_resnet18_moco_rgb": {
        "summary": "ResNet-18 by MoCo on SSL4EO-S12: red, green and blue of Sentinel-2, self-supervised.",
        "parameters": 11.2,
        "gmacs": 1.8,
        "weights": "hub:torchgeo/resnet18_sentinel2_rgb_moco@e1c032e7785fd0625224cdb6699aa138bb304eec",
        "filename": "resnet18_sentinel2_rgb_moco-e3a335e3.pth",
        "checksum": "e3a335e3",
        "megabytes": 45,
        "torchgeo": "ResNet18_Weights.SENTINEL2_RGB_MOCO",
        "architecture": "resnet18",
        "bands": ["rgb"],
        "levels": [3, 4, 5],
    },
    "ssl4eo_resnet50_moco": {
        "summary": "ResNet-50 by MoCo on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 23.5,
        "gmacs": 4.5,
        "weights": "hub:torchgeo/resnet50_sentinel2_all_moco@da4f3c9dbe09272eb902f3b37f46635fa4726879",
        "filename": "resnet50_sentinel2_all_moco-df8b932e.pth",
        "checksum": "df8b932e",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_ALL_MOCO",
        "architecture": "resnet50",
        "bands": ["s2_13"],
        "levels": [3, 4, 5],
    },
    "ssl4eo_resnet50_moco_rgb": {
        "summary": "ResNet-50 by MoCo on SSL4EO-S12: red, green and blue of Sentinel-2, self-supervised.",
        "parameters": 23.5,
        "gmacs": 4.1,
        "weights": "hub:torchgeo/resnet50_sentinel2_rgb_moco@efd9723b59a88e9dc1420dc1e96afb25b0630a3c",
        "filename": "resnet50_sentinel2_rgb_moco-2b57ba8b.pth",
        "checksum": "2b57ba8b",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_RGB_MOCO",
        "architecture": "resnet50",
        "bands": ["rgb"],
        "levels": [3, 4, 5],
    },
    "ssl4eo_resnet50_dino": {
        "summary": "ResNet-50 by DINO on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 23.5,
        "gmacs": 4.5,
        "weights": "hub:torchgeo/resnet50_sentinel2_all_dino@d7f14bf5530d70ac69d763e58e77e44dbecfec7c",
        "filename": "resnet50_sentinel2_all_dino-d6c330e9.pth",
        "checksum": "d6c330e9",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_ALL_DINO",
        "architecture": "resnet50",
        "bands": ["s2_13"],
        "levels": [3, 4, 5],
    },
    "ssl4eo_resnet50_decur": {
        "summary": "ResNet-50 by DeCUR on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 23.5,
        "gmacs": 4.5,
        "weights": "hub:torchgeo/decur@eba7ae5945d482a4319be046d34b552db5dd9950",
        "filename": "rn50_ssl4eo-s12_ms_decur_ep100-fc6b09ff.pth",
        "checksum": "fc6b09ff",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_ALL_DECUR",
        "architecture": "resnet50",
        "bands": ["s2_13"],
        "levels": [3, 4, 5],
        "paper": "https://arxiv.org/abs/2309.05300",
        "licence": "Apache-2.0",
    },
    "ssl4eo_resnet50_softcon": {
        "summary": "ResNet-50 by SoftCon on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 23.5,
        "gmacs": 4.5,
        "weights": "hub:wangyi111/softcon@62ff465b2e7467dbfc70758ec1e9d08ab87fc46b",
        "filename": "B13_rn50_softcon.pth",
        "megabytes": 94,
        "torchgeo": "ResNet50_Weights.SENTINEL2_ALL_SOFTCON",
        "architecture": "resnet50",
        "bands": ["s2_13"],
        "levels": [3, 4, 5],
        "statistics": "SSL4EO-S12",
        "paper": "https://arxiv.org/abs/2405.20462",
    },
}


# The licences are what torchgeo's table of weights says.
@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2211.07044",
    licence="CC-BY-4.0",
    licence_url="https://github.com/torchgeo/torchgeo/blob/1a7c2b775787458cba0b603deacd80f2f4844397/docs/api/weights/sentinel2.csv",
    gated=False,
    trained_on=["SSL4EO-S12"],
)
class Ssl4EoResNet(MultispectralResNet):
    """A frozen ResNet by one of four methods on SSL4EO-S12 (Wang et al., 2022): MoCo, DINO, DeCUR (2023) and
    SoftCon (2024). The files are those of torchgeo's table.

    It sees the 13 bands of Level-1C in Sentinel-2's order, those named `_rgb` red, green and blue, as digital numbers
    over 10,000 (reflectance, without a mean); SoftCon's as z-scores by the data set's statistics. Pooled: `mean`.
    Levels are stages from 1, of strides 2 (the stem), 4, 8, 16 and 32: early 3, mid 4, late 5; `levels` overrides the
    three, `stage_N` names any other.

    file: weights of the user's own, in timm's names, instead of the hub's; size: pixels that the shortest side is
    resized to first (torchgeo: 256, of which it cuts the middle 224, which is not done here).
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
