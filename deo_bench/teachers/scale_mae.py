"""Scale-MAE: a masked autoencoder of satellite images whose positions are in metres."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deo_bench.declarations import Count, Positive
from deo_bench.libraries import import_library
from deo_bench.teachers import teacher
from deo_bench.teachers._blocks import BlockTeacher
from deo_bench.teachers._timm import display

ENTRIES = {
    "scalemae_vitl16": {
        "summary": "Scale-MAE ViT-L/16: a masked autoencoder on satellite RGB, told how many metres a pixel is.",
        "parameters": 303.3,
        "gmacs": 61.6,
        "weights": ("hub:isaaccorley/vit_large_patch16_224_fmow_rgb_scalemae@9dc7f569424baeb780698352cf6e87638c882123"),
        "filename": "vit_large_patch16_224_fmow_rgb_scalemae-98ed9821.pth",
        "checksum": "98ed9821",
        "megabytes": 1213,
        "architecture": "scalemae_large_patch16",
    },
}


@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2212.14532",
    licence="CC-BY-NC-4.0",
    licence_url="https://github.com/torchgeo/torchgeo/blob/009d295fbb0c9b251db5fa99d4fa76931370764f/docs/api/weights/agnostic.csv",
    gated=False,
    trained_on=["fMoW"],
    library="torchgeo",
)
class ScaleMae(BlockTeacher):
    """A frozen Scale-MAE (Reed et al., 2023), through torchgeo: positions are counted in metres of the ground.

    It sees `rgb` as shown on a screen, normalised as ImageNet (torchgeo's transform). `resolution` is metres a pixel of
    the image as it enters, after any resize: 10 for Sentinel-2 (torchgeo's own default is 1).

    Pooled: `cls` (the default, torchgeo's pre-logits) and `mean` of the cells, after the final norm. Maps are of the
    blocks that `levels` names, from 0 (half of the depth, three quarters, the end), or `block_N`; `normed` puts the
    final norm on each.

    Images of any size: those that are no multiple of the patch are resized to the next. Positions are computed for any
    grid, so nothing is resampled. torchgeo loads this file without minding its names; here every block has to be there.

    file: weights of the user's own instead of the hub's; size: pixels that the shortest side is resized to first;
    white: the reflectance shown as white.
    """

    narrow: ClassVar[dict[str, Any]] = {"embed_dim": 48, "num_heads": 3}
    optional = ("pos_embed", "norm.")
    extra = ("",)

    def __init__(
        self,
        name: str,
        load: bool = True,
        *,
        file: Path | None = None,
        size: Count | None = None,
        white: Positive = 0.3,
        resolution: Positive = 10.0,
        normed: bool = True,
        levels: list[int] | None = None,
    ) -> None:
        self.metres = resolution
        given: dict[str, Any] = {"file": file, "size": size, "normed": normed, "levels": levels}
        super().__init__(name, ENTRIES[name], load, {"rgb": display({}, white)}, patch=16, **given)

    def _architecture(self, entry: Mapping[str, Any], who: str) -> Any:
        library = import_library("torchgeo.models.scale_mae", who)
        self.positions = library.get_2d_sincos_pos_embed_from_grid_torch
        shape = {"embed_dim": 1024, "depth": 24, "num_heads": 16, **self.overrides}
        self.pooled_dims, self.default = dict.fromkeys(("cls", "mean"), shape["embed_dim"]), "cls"
        norm = partial(nn.LayerNorm, eps=1e-6)
        return library.ScaleMAE(res=self.metres, patch_size=16, num_classes=0, norm_layer=norm, **shape)

    def _blocks(self) -> nn.ModuleList:
        blocks: nn.ModuleList = self.model.blocks
        return blocks

    def _tokens(self, pixels: Tensor, sees: str, grid: list[int]) -> Tensor:
        cells = self.model.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        down, across = (torch.arange(side, dtype=torch.float32, device="cpu") for side in grid)
        places = torch.stack(torch.meshgrid(across, down, indexing="xy"))[:, None] * self.metres
        cells = cells + self.positions(self.model.embed_dim, places).to(cells)
        first = self.model.cls_token.to(cells.dtype).expand(len(cells), -1, -1)
        return torch.cat([first, cells], 1)

    def _pooled(self, tokens: Tensor) -> dict[str, Tensor]:
        last = self._norm(tokens)
        return {"cls": last[:, 0], "mean": last[:, 1:].mean(1)}

    def _norm(self, tokens: Tensor) -> Tensor:
        after: Tensor = self.model.norm(tokens)
        return after
