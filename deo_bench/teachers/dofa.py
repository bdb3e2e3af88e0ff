"""DOFA: one transformer for any optical bands, whose first layer is made from their wavelengths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deo_bench.bands import BAND_SETS
from deo_bench.declarations import Count, Positive
from deo_bench.libraries import import_library
from deo_bench.normalisation import FMOW_SENTINEL, Normalisation
from deo_bench.teachers import teacher
from deo_bench.teachers._blocks import NANOMETRES, BlockTeacher, dynamic_cells, with_positions
from deo_bench.teachers._satlas import BRIGHTEST
from deo_bench.teachers._stretched import stretched
from deo_bench.teachers._timm import display

ENTRIES = {
    "dofa_vitb16": {
        "summary": "DOFA ViT-B/16: a masked autoencoder on five sensors, for bands by their wavelengths.",
        "parameters": 111.3,
        "gmacs": 18.1,
        "weights": "hub:torchgeo/dofa@b8db318b64a90b9e085ec04ba8851233c5893666",
        "filename": "dofa_base_patch16_224-a0275954.pth",
        "checksum": "a0275954",
        "megabytes": 445,
        "architecture": "dofa_base_patch16_224",
    },
    "dofa_vitl16": {
        "summary": "DOFA ViT-L/16: a masked autoencoder on five sensors, for bands by their wavelengths.",
        "parameters": 337.1,
        "gmacs": 62.3,
        "weights": "hub:torchgeo/dofa@b8db318b64a90b9e085ec04ba8851233c5893666",
        "filename": "dofa_large_patch16_224-0ff904d3.pth",
        "checksum": "0ff904d3",
        "megabytes": 1348,
        "architecture": "dofa_large_patch16_224",
    },
}
SHAPES = {
    "dofa_base_patch16_224": {"embed_dim": 768, "depth": 12, "num_heads": 12},
    "dofa_large_patch16_224": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
}
_MEAN: tuple[float, ...] = (114.1099739, 114.81779093, 126.63977424, 84.33539309, 97.84789168, 103.94461911, 101.435633)
_MEAN += (72.32804172, 56.66528851)
_STD: tuple[float, ...] = (77.84352553, 69.96844919, 67.42465279, 64.57022983, 61.72545487, 61.34187099, 60.29744676)
_STD += (47.88519516, 42.55886798)
TRAINED = dict(zip(BAND_SETS["s2_9"], zip(_MEAN, _STD, strict=True), strict=True))
"""Mean and standard deviation of 8-bit pixels in DOFA's Sentinel-2 images (its `normalize_dataset.py`)."""


@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2403.15356",
    licence="CC-BY-4.0",
    licence_url="https://github.com/torchgeo/torchgeo/blob/009d295fbb0c9b251db5fa99d4fa76931370764f/docs/api/weights/agnostic.csv",
    gated=False,
    trained_on=["SatlasPretrain", "Five-Billion-Pixels", "HySpecNet-11k"],
    library="torchgeo",
    bands=["s2_9", "s2_10", "s2_12", "s2_13", "rgb"],
)
class Dofa(BlockTeacher):
    """A frozen DOFA (Xiong et al., 2024), through torchgeo: a kernel for each band, made from its centre wavelength.

    Band sets: `s2_9` (the default), the nine Sentinel-2 bands that it was trained on (B04, B03, B02, B05, B06, B07,
    B08, B11, B12, at the wavelengths of its code), `s2_10`, `s2_12`, `s2_13`, and `rgb`. The nine are normalised by the
    statistics of its own code, which are of SatlasPretrain's 8-bit pixels: red, green and blue as shown on a screen
    (255 is the reflectance `white`), the others 255 at 8,160 digital numbers, all clipped there. It has none of B01,
    B8A, B09 and B10, which are normalised by fMoW-Sentinel's. `rgb` is normalised as ImageNet, as its code does with
    aerial images.

    Pooled: `mean` of the cells and its own norm after it (the default, torchgeo's `forward_features`; the weights bring
    no scale and shift for that norm), and `cls`, the class token as it is. Maps are of the blocks that `levels` names,
    from 0 (half of the depth, three quarters, the end), or `block_N`; `normed` puts the same norm on each.

    Images of any size: those that are no multiple of the patch are resized to the next; positions, trained at 224 px,
    are resampled (bicubic).

    file: weights of the user's own instead of the hub's; size: pixels that the shortest side is resized to first.
    """

    narrow: ClassVar[dict[str, Any]] = {"embed_dim": 48, "num_heads": 3}
    optional = ("fc_norm.",)
    extra = ("head.",)

    def __init__(
        self,
        name: str,
        load: bool = True,
        *,
        file: Path | None = None,
        size: Count | None = None,
        white: Positive = 0.3,
        normed: bool = False,
        levels: list[int] | None = None,
    ) -> None:
        sees = {key: _eight_bits(BAND_SETS[key], white) for key in ("s2_9", "s2_10", "s2_12", "s2_13")}
        sees["rgb"] = display({}, white)
        given: dict[str, Any] = {"file": file, "size": size, "normed": normed, "levels": levels}
        super().__init__(name, ENTRIES[name], load, sees, patch=16, **given)

    def _architecture(self, entry: Mapping[str, Any], who: str) -> Any:
        library = import_library("torchgeo.models.dofa", who)
        self.codes = library.position_embedding
        shape = {**SHAPES[entry["architecture"]], **self.overrides}
        self.pooled_dims, self.default = dict.fromkeys(("mean", "cls"), shape["embed_dim"]), "mean"
        return library.DOFA(num_classes=0, **shape)

    def _blocks(self) -> nn.ModuleList:
        blocks: nn.ModuleList = self.model.blocks
        return blocks

    def _tokens(self, pixels: Tensor, sees: str, grid: list[int]) -> Tensor:
        micrometres = [NANOMETRES[band] / 1000 for band in self.band_sets[sees]]
        embedding = self.model.patch_embed
        waves = self.codes(embedding.dynamic_embed_dim, torch.tensor(micrometres, device="cpu") * 1000)
        cells = dynamic_cells(embedding, waves, pixels, self.patch)
        return with_positions(cells, self.model.cls_token, self.model.pos_embed, grid)

    def _pooled(self, tokens: Tensor) -> dict[str, Tensor]:
        return {"mean": self._norm(tokens[:, 1:].mean(1)), "cls": tokens[:, 0]}

    def _norm(self, tokens: Tensor) -> Tensor:
        after: Tensor = self.model.fc_norm(tokens)
        return after


def _eight_bits(bands: tuple[str, ...], white: float) -> Normalisation:
    """Clipped to what 8 bits can hold; then z-scores."""
    full = [white * 1e4 if band in BAND_SETS["rgb"] else BRIGHTEST for band in bands]
    own = {band: (mean / 255, std / 255) for band, (mean, std) in TRAINED.items()}
    table = {band: (mean / BRIGHTEST, std / BRIGHTEST) for band, (mean, std) in FMOW_SENTINEL.items()} | own
    mean, std = zip(*(table[band] for band in bands), strict=True)
    return stretched("dn", [0.0] * len(bands), full, mean, std, white)
