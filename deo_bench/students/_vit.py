"""The vision transformer that several families of students are made of: timm's blocks behind a stem of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.normalisation import Normalisation
from deo_bench.students import Stem, Student
from deo_bench.students._masks import replace_masked
from deo_bench.students._published import Published


class VitStudent(Student):
    """Pre-norm blocks, learned positions, an optional class token; what its options mean stands in `vit.py`.

    A family changes what the blocks are made of once this is built, or adds to the cells on their way (`_pass`).
    """

    def __init__(
        self,
        name: str,
        stem: Callable[[int, int], Stem],
        band_sets: Mapping[str, tuple[str, ...]],
        normalisations: Mapping[str, Normalisation],
        *,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        ratio: float,
        size: int,
        pooling: str,
        normed: bool,
        drop_path: float,
        levels: Sequence[int] | None,
    ) -> None:
        super().__init__()
        if width % heads:
            raise UserError(f"student {name!r}: width {width} is not a multiple of heads {heads}")
        self.declare(band_sets, normalisations)
        self.name, self.patch, self.normed, self.depth = name, patch, normed, depth
        self.default = pooling
        self.pooled_dims = {"cls": width, "mean": width} if pooling == "cls" else {"mean": width}
        self.levels = named_levels(levels, usual_levels(depth), range(depth))
        self.grid = max(size // patch, 1)
        self.stem = stem(width, patch)
        engine = VisionTransformer(
            img_size=self.grid * patch,
            patch_size=patch,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=ratio,
            class_token=pooling == "cls",
            no_embed_class=True,
            drop_path_rate=drop_path,
        )
        self.positions = engine.pos_embed
        self.class_token = engine.cls_token
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.blocks = engine.blocks
        self.norm = engine.norm

    def embed(self, pixels: Tensor, sees: str, mask: Tensor | None = None) -> Tensor:
        """Cells with their positions [B, h, w, D], of a stem of groups [B, G, h, w, D]; masked cells keep theirs."""
        height, width = pixels.shape[-2:]
        if height % self.patch or width % self.patch:
            raise UserError(f"student {self.name!r}: patch {self.patch} does not divide images of {height} x {width}")
        cells = self._masked(self.stem(pixels, sees).movedim(1, -1), sees, mask)
        rows, columns = cells.shape[-3:-1]
        positions = resample_abs_pos_embed(self.positions, [rows, columns], [self.grid, self.grid], num_prefix_tokens=0)
        return cells + positions.view(1, rows, columns, -1).to(cells.dtype)

    def _masked(self, cells: Tensor, sees: str, mask: Tensor | None) -> Tensor:
        """Cells [B, (G,) h, w, D] with the mask token for those masked; a cell is masked in all of its groups."""
        if cells.ndim == 4:
            return replace_masked(cells, mask, self.mask_token)
        tokens = self.mask_token + self.stem.encodings_of(sees)
        groups = zip(cells.unbind(1), tokens, strict=True)
        return torch.stack([replace_masked(group, mask, token) for group, token in groups], 1)

    def trunk(self, tokens: Tensor, levels: tuple[str, ...]) -> Features:
        """Features of cells [B, h, w, D], or of cells of groups [B, G, h, w, D], whose maps are means over groups.

        The class token joins here and is in no map.
        """
        return self._pass(tokens, levels, {})

    def _pass(self, tokens: Tensor, levels: tuple[str, ...], added: Mapping[int, Tensor]) -> Features:
        """The blocks; added: number of a block -> what its input gains [B, h, w, D], on the cells alone."""
        batch, (rows, columns) = len(tokens), tokens.shape[-3:-1]
        numbers = {level: self._block(level) for level in levels}
        values, prefix = tokens.flatten(1, -2), 0
        if self.class_token is not None:
            values, prefix = torch.cat([self.class_token.expand(batch, -1, -1).to(values), values], 1), 1
        kept = {}
        for number, block in enumerate(self.blocks):
            if number in added:
                cells = values[:, prefix:] + added[number].flatten(1, 2)
                values = torch.cat([values[:, :prefix], cells], 1)
            values = block(values)
            if number in numbers.values():
                kept[number] = values
        values = self.norm(values)
        maps = {}
        for level, number in numbers.items():
            cells = (self.norm(kept[number]) if self.normed else kept[number])[:, prefix:]
            if tokens.ndim == 5:
                cells = cells.unflatten(1, (-1, rows * columns)).mean(1)
            maps[level] = cells.transpose(1, 2).unflatten(2, (rows, columns))
        return Features(self.pool(values), maps, self.default, values)

    def pool(self, last: Tensor) -> dict[str, Tensor]:
        """The class token, where there is one, and the mean of the cells, of normed tokens [B, prefix + N, D]."""
        prefix = int(self.class_token is not None)
        pooled = {"cls": last[:, 0]} if prefix else {}
        return {**pooled, "mean": last[:, prefix:].mean(1)}

    def start(self, state: Mapping[str, Tensor], source: str, model: str | None = None) -> list[str]:
        """From one of timm's plain vision transformers; registers are left out, layer scales folded in."""
        given = Published(state, source, model)
        given.leave("reg_token", "registers")
        given.fold_layer_scales()
        given.fit_positions(self.grid, self.class_token is not None)
        filters = given.filters(self.stem)
        told = self.take_trunk(given.state, source)
        self.stem.inflate(*filters)
        return [*given.told, *told]

    def map_width(self, level: str) -> int:
        """The width, at every block."""
        self._block(level)
        return self.pooled_dims["mean"]

    def stride(self, level: str) -> int:
        """The patch, at every block."""
        self._block(level)
        return self.patch

    def _block(self, level: str) -> int:
        number = level_number(level, self.levels, "block", range(self.depth))
        if number is None:
            raise self.no_level(level)
        return number


def usual_levels(depth: int) -> list[int]:
    """Early, mid and late of a number of blocks: after a quarter, a half, and all of them."""
    return [max(depth // 4 - 1, 0), max(depth // 2 - 1, 0), depth - 1]
