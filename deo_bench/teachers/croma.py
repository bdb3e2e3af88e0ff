"""CROMA: radar and optical images, contrasted and masked; here the tower that reads Sentinel-2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deo_bench.declarations import Count
from deo_bench.libraries import import_library
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import teacher
from deo_bench.teachers._blocks import BlockTeacher

ENTRIES = {
    "croma_vitb8": {
        "summary": "CROMA ViT-B/8, its optical tower: contrasted with radar and masked, on Sentinel-2's 12 bands.",
        "parameters": 90.3,
        "gmacs": 78.4,
        "weights": "hub:torchgeo/croma@387883f08af79d777167519c57cd826eda89a16f",
        "filename": "CROMA_base-0238d814.pt",
        "checksum": "0238d814",
        "megabytes": 777,
        "architecture": "croma_base",
    },
    "croma_vitl8": {
        "summary": "CROMA ViT-L/8, its optical tower: contrasted with radar and masked, on Sentinel-2's 12 bands.",
        "parameters": 311.4,
        "gmacs": 267.6,
        "weights": "hub:torchgeo/croma@92cb1a0f4e34c6c01558baf070197c01255382f6",
        "filename": "CROMA_large-921e69ad.pt",
        "checksum": "921e69ad",
        "megabytes": 2690,
        "architecture": "croma_large",
    },
}
SHAPES = {
    "croma_base": {"encoder_dim": 768, "encoder_depth": 12},
    "croma_large": {"encoder_dim": 1024, "encoder_depth": 24},
}
_MEAN: tuple[float, ...] = (
    752.40087073,
    884.29673756,
    1144.16202635,
    1297.47289228,
    1624.90992062,
    2194.6423161,
    2422.21248945,
)
_MEAN += (2517.76053101, 2581.64687018, 2645.51888987, 2368.51236873, 1805.06846033)
_STD: tuple[float, ...] = (
    1108.02887453,
    1155.15170768,
    1183.6292542,
    1368.11351514,
    1370.265037,
    1355.55390699,
    1416.51487101,
)
_STD += (1474.78900051, 1439.3086061, 1582.28010962, 1455.52084939, 1343.48379601)
SSL4EO = Normalisation("dn", _MEAN, _STD, two_sigma=True)
"""CROMA's stretch, by the statistics of SSL4EO-S12's twelve bands of level 2A in digital numbers (its own code)."""

HEADS = 16


@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2311.00566",
    licence="CC-BY-4.0",
    licence_url="https://github.com/torchgeo/torchgeo/blob/009d295fbb0c9b251db5fa99d4fa76931370764f/docs/api/weights/agnostic.csv",
    gated=False,
    trained_on=["SSL4EO-S12"],
    library="torchgeo",
    bands=["s2_12"],
)
class Croma(BlockTeacher):
    """The frozen optical tower of CROMA (Fuller et al., 2023), through torchgeo; radar is not read.

    It sees Sentinel-2's twelve bands without B10 (`s2_12`). Its README stretches each channel from two standard
    deviations below the mean to two above over [0, 1], in 256 levels, by the mean and spread of the images at hand. An
    image's features must not depend on its company, so here they are those of SSL4EO-S12, which it was trained on
    (level 2A, by that data set's own code). torchgeo itself normalises nothing.

    Pooled: `projected`, its own layers on the mean of the cells (the default, torchgeo's `optical_GAP`), and `mean`, of
    the cells after the final norm; there is no class token. Maps are of the blocks that `levels` names, from 0 (half of
    the depth, three quarters, the end), or `block_N`; `normed` puts the final norm on each.

    Images of any size: those that are no multiple of the patch are resized to the next. It was trained at 120 px; its
    attention knows places by their distance alone, computed for any grid, so nothing is resampled.

    file: weights of the user's own instead of the hub's; size: pixels that the shortest side is resized to first.
    """

    narrow: ClassVar[dict[str, Any]] = {"encoder_dim": 48}
    prefix = 0
    optional = ("attn_bias",)
    extra = ("s1_encoder.", "s1_GAP_FFN.", "joint_encoder.")
    kept: tuple[Any, Tensor] | None = None

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
        given: dict[str, Any] = {"file": file, "size": size, "normed": normed, "levels": levels}
        super().__init__(name, ENTRIES[name], load, {"s2_12": SSL4EO}, patch=8, **given)

    def _architecture(self, entry: Mapping[str, Any], who: str) -> Any:
        library = import_library("torchgeo.models.croma", who)
        shape = {**SHAPES[entry["architecture"]], **self.overrides}
        self.pooled_dims, self.default = dict.fromkeys(("projected", "mean"), shape["encoder_dim"]), "projected"
        # Its table of distances is for one square size, and is not used here.
        return library.CROMA(modalities=["optical"], num_heads=HEADS, image_size=8, **shape)

    def _blocks(self) -> nn.ModuleList:
        blocks: nn.ModuleList = self.model.s2_encoder.transformer.layers
        return blocks

    def _tokens(self, pixels: Tensor, sees: str, grid: list[int]) -> Tensor:
        high, wide = grid
        cut = pixels.unflatten(3, (wide, self.patch)).unflatten(2, (high, self.patch))
        tokens: Tensor = self.model.s2_encoder.linear_input(cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))
        return tokens

    def _through(self, block: Any, tokens: Tensor, grid: list[int]) -> Tensor:
        attention, layers = block
        tokens = attention(tokens, self._bias(tokens, grid)) + tokens
        after: Tensor = layers(tokens) + tokens
        return after

    def _bias(self, tokens: Tensor, grid: list[int]) -> Tensor:
        """The same for all blocks and for images of one size, and large: kept until another is wanted."""
        wanted = (tuple(grid), tokens.device, tokens.dtype)
        if self.kept is None or self.kept[0] != wanted:
            self.kept = (wanted, distance_bias(grid).to(tokens))
        return self.kept[1]

    def _pooled(self, tokens: Tensor) -> dict[str, Tensor]:
        mean = self._norm(tokens).mean(1)
        return {"projected": self.model.s2_GAP_FFN(mean), "mean": mean}

    def _norm(self, tokens: Tensor) -> Tensor:
        after: Tensor = self.model.s2_encoder.transformer.norm_out(tokens)
        return after


def distance_bias(grid: list[int]) -> Tensor:
    """What attention loses between two cells [1, heads, h w, h w]: their distance, times a slope of each head's own."""
    high, wide = (torch.arange(side, dtype=torch.float32, device="cpu") for side in grid)
    places = torch.cartesian_prod(high, wide)
    distances = (places[:, None] - places[None]).square().sum(-1).sqrt()
    slopes = torch.tensor([2 ** (-8 * (head + 1) / HEADS) for head in range(HEADS)], device="cpu")
    return -(slopes.view(1, -1, 1, 1) * distances)
