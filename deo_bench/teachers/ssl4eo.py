"""Vision transformers that were trained without labels on SSL4EO-S12, on all bands of Sentinel-2."""

from __future__ import annotations

from pathlib import Path

from deo_bench.bands import WHITE
from deo_bench.declarations import Count
from deo_bench.teachers import teacher
from deo_bench.teachers._multispectral import MultispectralVit, without_heads

ENTRIES = {
    "ssl4eo_vits16_dino": {
        "summary": "ViT-S/16 by DINO on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 22.6,
        "gmacs": 4.8,
        "weights": "hub:torchgeo/vit_small_patch16_224_sentinel2_all_dino@5b41dd418a79de47ac9f5be3e035405a83818a62",
        "filename": "vit_small_patch16_224_sentinel2_all_dino-36bcc127.pth",
        "checksum": "36bcc127",
        "megabytes": 91,
        "torchgeo": "ViTSmall16_Weights.SENTINEL2_ALL_DINO",
        "architecture": "vit_small_patch16_224",
        "bands": ["s2_13"],
        "levels": [5, 8, 11],
    },
    "ssl4eo_vits16_moco": {
        "summary": "ViT-S/16 by MoCo on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 22.6,
        "gmacs": 4.8,
        "weights": "hub:torchgeo/vit_small_patch16_224_sentinel2_all_moco@1cb683f6c14739634cdfaaceb076529adf898c74",
        "filename": "vit_small_patch16_224_sentinel2_all_moco-67c9032d.pth",
        "checksum": "67c9032d",
        "megabytes": 91,
        "torchgeo": "ViTSmall16_Weights.SENTINEL2_ALL_MOCO",
        "architecture": "vit_small_patch16_224",
        "bands": ["s2_13"],
        "levels": [5, 8, 11],
    },
    "ssl4eo_vits16_mae": {
        "summary": "ViT-S/16 by MAE on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 22.6,
        "gmacs": 4.8,
        "weights": "hub:wangyi111/SSL4EO-S12@75c72195d35201dc1fb210818993518c25da566b",
        "filename": "B13_vits16_mae_ep99_enc.pth",
        "megabytes": 91,
        "torchgeo": "ViTSmall16_Weights.SENTINEL2_ALL_MAE",
        "architecture": "vit_small_patch16_224",
        "bands": ["s2_13"],
        "levels": [5, 8, 11],
    },
    "ssl4eo_vits16_fgmae": {
        "summary": "ViT-S/16 by FG-MAE on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 22.6,
        "gmacs": 4.8,
        "weights": "hub:wangyi111/FGMAE@24dd3077d7a99ecd454eaec7adb83d045d7fa122",
        "filename": "B13_vits16_fgmae_ep99_enc.pth",
        "megabytes": 91,
        "torchgeo": "ViTSmall16_Weights.SENTINEL2_ALL_FGMAE",
        "architecture": "vit_small_patch16_224",
        "bands": ["s2_13"],
        "levels": [5, 8, 11],
        "paper": "https://arxiv.org/abs/2310.18653",
    },
    "ssl4eo_vitb16_mae": {
        "summary": "ViT-B/16 by MAE on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 87.8,
        "gmacs": 17.9,
        "weights": "hub:wangyi111/SSL4EO-S12@75c72195d35201dc1fb210818993518c25da566b",
        "filename": "B13_vitb16_mae_ep99_enc.pth",
        "megabytes": 351,
        "torchgeo": "ViTBase16_Weights.SENTINEL2_ALL_MAE",
        "architecture": "vit_base_patch16_224",
        "bands": ["s2_13"],
        "levels": [5, 8, 11],
    },
    "ssl4eo_vitb16_fgmae": {
        "summary": "ViT-B/16 by FG-MAE on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 87.8,
        "gmacs": 17.9,
        "weights": "hub:wangyi111/FGMAE@24dd3077d7a99ecd454eaec7adb83d045d7fa122",
        "filename": "B13_vitb16_fgmae_ep99_enc.pth",
        "megabytes": 351,
        "torchgeo": "ViTBase16_Weights.SENTINEL2_ALL_FGMAE",
        "architecture": "vit_base_patch16_224",
        "bands": ["s2_13"],
        "levels": [5, 8, 11],
        "paper": "https://arxiv.org/abs/2310.18653",
    },
    "ssl4eo_vitl16_mae": {
        "summary": "ViT-L/16 by MAE on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 305.9,
        "gmacs": 62.1,
        "weights": "hub:wangyi111/SSL4EO-S12@75c72195d35201dc1fb210818993518c25da566b",
        "filename": "B13_vitl16_mae_ep99_enc.pth",
        "megabytes": 1224,
        "torchgeo": "ViTLarge16_Weights.SENTINEL2_ALL_MAE",
        "architecture": "vit_large_patch16_224",
        "bands": ["s2_13"],
        "levels": [11, 17, 23],
    },
    "ssl4eo_vitl16_fgmae": {
        "summary": "ViT-L/16 by FG-MAE on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 305.9,
        "gmacs": 62.1,
        "weights": "hub:wangyi111/FGMAE@24dd3077d7a99ecd454eaec7adb83d045d7fa122",
        "filename": "B13_vitl16_fgmae_ep99_enc.pth",
        "megabytes": 1224,
        "torchgeo": "ViTLarge16_Weights.SENTINEL2_ALL_FGMAE",
        "architecture": "vit_large_patch16_224",
        "bands": ["s2_13"],
        "levels": [11, 17, 23],
        "paper": "https://arxiv.org/abs/2310.18653",
    },
    "ssl4eo_vith14_mae": {
        "summary": "ViT-H/14 by MAE on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 633.3,
        "gmacs": 167.9,
        "weights": "hub:wangyi111/SSL4EO-S12@75c72195d35201dc1fb210818993518c25da566b",
        "filename": "B13_vith14_mae_ep199_enc.pth",
        "megabytes": 2533,
        "torchgeo": "ViTHuge14_Weights.SENTINEL2_ALL_MAE",
        "architecture": "vit_huge_patch14_224",
        "bands": ["s2_13"],
        "levels": [15, 23, 31],
    },
    "ssl4eo_vith14_fgmae": {
        "summary": "ViT-H/14 by FG-MAE on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 633.3,
        "gmacs": 167.9,
        "weights": "hub:wangyi111/FGMAE@24dd3077d7a99ecd454eaec7adb83d045d7fa122",
        "filename": "B13_vith14_fgmae_ep399_enc.pth",
        "megabytes": 2533,
        "torchgeo": "ViTHuge14_Weights.SENTINEL2_ALL_FGMAE",
        "architecture": "vit_huge_patch14_224",
        "bands": ["s2_13"],
        "levels": [15, 23, 31],
        "paper": "https://arxiv.org/abs/2310.18653",
    },
    "ssl4eo_vits14_softcon": {
        "summary": "ViT-S/14 by SoftCon on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 22.4,
        "gmacs": 6.3,
        "weights": "hub:wangyi111/softcon@bae909781911f8ec034b4b959992fae17b973c0c",
        "filename": "B13_vits14_softcon_enc.pth",
        "megabytes": 90,
        "torchgeo": "ViTSmall14_DINOv2_Weights.SENTINEL2_ALL_SOFTCON",
        "architecture": "vit_small_patch14_dinov2",
        "bands": ["s2_13"],
        "levels": [5, 8, 11],
        "statistics": "SSL4EO-S12",
        "paper": "https://arxiv.org/abs/2405.20462",
    },
    "ssl4eo_vitb14_softcon": {
        "summary": "ViT-B/14 by SoftCon on SSL4EO-S12: 13 bands of Sentinel-2, self-supervised.",
        "parameters": 87.2,
        "gmacs": 23.5,
        "weights": "hub:wangyi111/softcon@bae909781911f8ec034b4b959992fae17b973c0c",
        "filename": "B13_vitb14_softcon_enc.pth",
        "megabytes": 349,
        "torchgeo": "ViTBase14_DINOv2_Weights.SENTINEL2_ALL_SOFTCON",
        "architecture": "vit_base_patch14_dinov2",
        "bands": ["s2_13"],
        "levels": [5, 8, 11],
        "statistics": "SSL4EO-S12",
        "paper": "https://arxiv.org/abs/2405.20462",
    },
}


# The licence is what torchgeo's table of weights says.
@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2211.07044",
    licence="CC-BY-4.0",
    licence_url="https://github.com/torchgeo/torchgeo/blob/1a7c2b775787458cba0b603deacd80f2f4844397/docs/api/weights/sentinel2.csv",
    gated=False,
    trained_on=["SSL4EO-S12"],
)
class Ssl4Eo(MultispectralVit):
    """A frozen vision transformer by one of five methods on SSL4EO-S12 (Wang et al., 2022): DINO, MoCo, MAE,
    FG-MAE (2023) and SoftCon (2024, DINOv2's architecture). The files are those of torchgeo's table.

    It sees the 13 bands of Level-1C in Sentinel-2's order, as digital numbers over 10,000; SoftCon's as z-scores by
    the data set's statistics. Pooled: `cls` (default) and `mean`. Levels are block numbers from 0: early at half of
    the depth, mid at three quarters, late at the end; `levels` overrides the three, `block_N` names any other.
    `normed` applies the final LayerNorm to every level. torchgeo allows files without that norm; it is then one that
    nobody trained, plain normalisation of each token.

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
        normed: bool = True,
        levels: list[int] | None = None,
    ) -> None:
        super().__init__(name, ENTRIES[name], load, without_heads, file, size, WHITE, normed, levels)
