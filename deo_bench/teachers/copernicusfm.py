"""Copernicus-FM: one transformer for the Sentinels, whose first layer is made from wavelengths and bandwidths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deo_bench.bands import BAND_SETS
from deo_bench.declarations import Count
from deo_bench.errors import UserError
from deo_bench.libraries import import_library
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import teacher
from deo_bench.teachers._blocks import NANOMETRES, BlockTeacher, dynamic_cells, with_positions
from deo_bench.teachers._multispectral import SSL4EO

ENTRIES = {
    "copernicusfm_vitb16": {
        "summary": "Copernicus-FM ViT-B/16: masked and distilled on five Sentinels, for bands by their wavelengths.",
        "parameters": 139.5,
        "gmacs": 18.4,
        "weights": "hub:torchgeo/copernicus-fm@f395812cc990ba25a451dbb9c9e6d95c8482947e",
        "filename": "CopernicusFM_ViT_base_varlang-085350e4.pth",
        "checksum": "085350e4",
        "megabytes": 558,
        "architecture": "copernicusfm_base",
    },
}
SHAPES = {"copernicusfm_base": {"embed_dim": 768, "depth": 12, "num_heads": 12}}
WIDTHS = dict(zip(BAND_SETS["s2_13"], (20, 65, 35, 30, 15, 15, 20, 115, 20, 20, 30, 90, 180), strict=True))
"""Sentinel-2's bandwidths in nm, as its `engine_pretrain.py` has them."""

NATIVE, SMALLEST = 16, 4


@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2503.11849",
    licence="CC-BY-4.0",
    licence_url="https://github.com/torchgeo/torchgeo/blob/009d295fbb0c9b251db5fa99d4fa76931370764f/docs/api/weights/agnostic.csv",
    gated=False,
    trained_on=["Copernicus-Pretrain"],
    library="torchgeo",
    bands=["s2_13", "s2_12", "s2_10", "rgb"],
)
class CopernicusFm(BlockTeacher):
    """A frozen Copernicus-FM (Wang et al., 2025), through torchgeo: a kernel for each band, made from its wavelength
    and bandwidth.

    Band sets: `s2_13` (the default, as it was trained), `s2_12`, `s2_10` and `rgb`, all Sentinel-2's: z-scores of
    digital numbers by the statistics in its own pre-training code (level 1C), red, green and blue among them. Where and
    when an image was taken, and how much ground a patch covers, is left unknown, for which it has tokens of its own.

    Pooled: `mean` of the cells and its own norm after it (the default, torchgeo's `forward_features`; the weights bring
    no scale and shift for that norm), and `cls`, the class token as it is. Maps are of the blocks that `levels` names,
    from 0 (half of the depth, three quarters, the end), or `block_N`; `normed` puts the same norm on each.

    Images of any size: those that are no multiple of the patch are resized to the next; positions, trained at 224 px,
    are resampled (bicubic), as its code does.

    file: weights of the user's own instead of the hub's; size: pixels that the shortest side is resized to first;
    patch: pixels of a cell's side, at least 4; the kernel of 16 is resized to it (pseudo-inverse, as its code does).
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
        patch: Count = 16,
        normed: bool = False,
        levels: list[int] | None = None,
    ) -> None:
        if patch < SMALLEST:  # its convolution pads by one pixel, which adds a cell to smaller patches
            raise UserError(f"teacher {name}: patch = {patch}: it takes patches of {SMALLEST} pixels and above")
        sees = {}
        for key in ("s2_13", "s2_12", "s2_10", "rgb"):
            mean, std = zip(*(SSL4EO[band] for band in BAND_SETS[key]), strict=True)
            sees[key] = Normalisation("dn", mean, std)
        given: dict[str, Any] = {"file": file, "size": size, "normed": normed, "levels": levels}
        super().__init__(name, ENTRIES[name], load, sees, patch=patch, **given)

    def _architecture(self, entry: Mapping[str, Any], who: str) -> Any:
        library = import_library("torchgeo.models.copernicusfm", who)
        self.resize = library.pi_resize_patch_embed
        shape = {**SHAPES[entry["architecture"]], **self.overrides}
        self.pooled_dims, self.default = dict.fromkeys(("mean", "cls"), shape["embed_dim"]), "mean"
        return library.CopernicusFM(patch_size=NATIVE, **shape)

    def _blocks(self) -> nn.ModuleList:
        blocks: nn.ModuleList = self.model.blocks
        return blocks

    def _tokens(self, pixels: Tensor, sees: str, grid: list[int]) -> Tensor:
        model, embedding = self.model, self.model.patch_embed_spectral
        centre, width = ([table[band] for band in self.band_sets[sees]] for table in (NANOMETRES, WIDTHS))
        waves = embedding.spectrum_central_expansion(_float(centre), model.hyper_dim)
        waves = waves + embedding.spectrum_bandwidth_expansion(_float(width), model.hyper_dim)
        cells = dynamic_cells(embedding, waves, pixels, self.patch, self.resize)
        unknown = model.coord_fc(model.coord_token) + model.scale_fc(model.scale_token)
        unknown = unknown + model.time_fc(model.time_token)
        tokens = with_positions(cells, model.cls_token, model.pos_embed, grid)
        return tokens + unknown.to(tokens.dtype)

    def _pooled(self, tokens: Tensor) -> dict[str, Tensor]:
        return {"mean": self._norm(tokens[:, 1:].mean(1)), "cls": tokens[:, 0]}

    def _norm(self, tokens: Tensor) -> Tensor:
        after: Tensor = self.model.fc_norm(tokens)
        return after


def _float(nanometres: list[int]) -> Tensor:
    return torch.tensor(nanometres, dtype=torch.float32, device="cpu")
