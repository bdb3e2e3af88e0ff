"""Transformers of torchgeo's as frozen teachers, run block by block: torchgeo gives only what stands at their end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.bands import BAND_SETS
from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher, without_gradients
from deo_bench.teachers._checkpoints import load_checkpoint
from deo_bench.teachers._timm import fitted, open_layer_scales
from deo_bench.weights import fetch

_NOMINAL = [440, 490, 560, 665, 705, 740, 783, 842, 860, 940, 1370, 1610, 2190]
NANOMETRES = dict(zip(BAND_SETS["s2_13"], _NOMINAL, strict=True))
"""Sentinel-2's centre wavelengths as DOFA and Copernicus-FM were trained with: their codes oscillate within one nm."""


class BlockTeacher(Teacher):
    """Tokens through blocks: pooled vectors from the last, maps from those that are asked for.

    sees: band sets with their normalisations, the first is the default. A family says how its network is built
    (`_architecture`), which blocks it has, how pixels become tokens (`_tokens`), what is pooled of the last
    (`_pooled`), and which names of a checkpoint may lack or be extra (`optional`, `extra`: beginnings of names).
    """

    prefix = 1
    optional: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    model: Any

    def __init__(
        self,
        name: str,
        entry: Mapping[str, Any],
        load: bool,
        sees: Mapping[str, Normalisation],
        *,
        file: Path | None,
        patch: int,
        size: int | None,
        normed: bool,
        levels: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.name, self.patch, self.size, self.normed = name, patch, size, normed
        self.band_sets, self.normalisations = {key: BAND_SETS[key] for key in sees}, dict(sees)
        self.model = self._architecture(entry, f"teacher {name}")
        depth = len(self._blocks())
        self.blocks = range(depth)
        self.levels = named_levels(levels, [depth // 2 - 1, 3 * depth // 4 - 1, depth - 1], self.blocks)
        if load:
            load_checkpoint(self.model, fetch(f"teacher {name}", entry, file), self._names)
        else:
            open_layer_scales(self.model)
        self.freeze()

    @abstractmethod
    def _architecture(self, entry: Mapping[str, Any], who: str) -> Any:
        """The network of an entry, untrained; sets `pooled_dims` and `default` too."""

    @abstractmethod
    def _blocks(self) -> nn.ModuleList:
        """Its blocks in order."""

    @abstractmethod
    def _tokens(self, pixels: Tensor, sees: str, grid: list[int]) -> Tensor:
        """Tokens [B, prefix + h w, D] of pixels whose sides the patch divides."""

    @abstractmethod
    def _pooled(self, tokens: Tensor) -> dict[str, Tensor]:
        """Pooled vectors of the last block's tokens."""

    @abstractmethod
    def _norm(self, tokens: Tensor) -> Tensor:
        """What `normed` puts on the tokens of a level."""

    def _through(self, block: Any, tokens: Tensor, grid: list[int]) -> Tensor:
        """Tokens after a block."""
        after: Tensor = block(tokens)
        return after

    @without_gradients
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """Pooled vectors of the last block, and the maps of the levels wanted."""
        numbers = {level: self._block(level) for level in levels}
        pixels = fitted(pixels, self.patch, self.size)
        grid = [side // self.patch for side in pixels.shape[-2:]]
        tokens, kept = self._tokens(pixels, sees, grid), {}
        for number, block in enumerate(self._blocks()):
            tokens = self._through(block, tokens, grid)
            if number in numbers.values():
                kept[number] = self._map(tokens, grid)
        return Features(self._pooled(tokens), {level: kept[number] for level, number in numbers.items()}, self.default)

    def map_width(self, level: str) -> int:
        """The width, at every block."""
        self._block(level)
        return self.pooled_dims["mean"]

    def stride(self, level: str) -> int:
        """The patch, at every block, in pixels of the resized image."""
        self._block(level)
        return self.patch

    def _map(self, tokens: Tensor, grid: list[int]) -> Tensor:
        cells = (self._norm(tokens) if self.normed else tokens)[:, self.prefix :]
        return cells.transpose(1, 2).unflatten(2, grid)

    def _block(self, level: str) -> int:
        number = level_number(level, self.levels, "block", self.blocks)
        if number is None:
            raise self.no_level(level)
        return number

    def _names(self, state: Mapping[str, Tensor], model: Any) -> dict[str, Tensor]:
        """A checkpoint without what may be extra; what may lack stays as the network began."""
        own = model.state_dict()
        kept = {name: value for name, value in state.items() if name in own or not name.startswith(self.extra)}
        return {**{name: value for name, value in own.items() if name.startswith(self.optional)}, **kept}


def with_positions(cells: Tensor, cls_token: Tensor, positions: Tensor, grid: list[int]) -> Tensor:
    """A class token [1, 1, D] before cells [B, h w, D], positions [1, 1 + N, D] added, resampled from their square."""
    place = resample_abs_pos_embed(positions, grid, num_prefix_tokens=1).to(cells.dtype)
    first = (cls_token.to(cells.dtype) + place[:, :1]).expand(len(cells), -1, -1)
    return torch.cat([first, cells + place[:, 1:]], 1)


def dynamic_cells(embedding: Any, waves: Tensor, pixels: Tensor, kernel: int, resize: Any = None) -> Tensor:
    """Cells [B, h w, D] by a kernel that a network makes of codes of the bands [C, 128] (DOFA, Copernicus-FM).

    torchgeo's own embeddings compute the codes in float32 whatever the weights are, which half precision refuses.
    resize: brings the kernel to another size than the one it was trained at.
    """
    weight, bias = embedding.weight_generator(embedding.fclayer(waves.to(pixels)))
    side, width = embedding.kernel_size, embedding.embed_dim
    weight = weight.view(len(waves), side, side, width).permute(3, 0, 1, 2)
    if kernel != side:
        weight = resize(weight.float(), (kernel, kernel)).to(weight.dtype)
    weight, bias = weight * embedding.scaler, bias.view(width) * embedding.scaler
    return F.conv2d(pixels, weight, bias, stride=kernel, padding=1).flatten(2).transpose(1, 2)
