"""timm's vision transformers as frozen teachers: what DINOv2, DINOv3 and others of their kind share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import timm
from torch import Tensor

from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.teachers import without_gradients
from deo_bench.teachers._timm import TimmTeacher, fitted


class TimmVit(TimmTeacher):
    """A vision transformer of timm's, seen through its own `forward_intermediates`.

    entry: its card, with timm's name (`architecture`) and its usual `levels`, block numbers of early, mid, late
    (half of the depth, three quarters and the end where it says nothing). The native input is RGB as shown on a screen
    (reflectance `white` and above is 1), normalised as ImageNet, or as the entry's `mean` and `std` say. Images
    of any size: those that are no multiple of the patch are resized (bilinear) to the next, after the shortest side
    was brought to `size` where that is given; strides are then in pixels of the resized image.
    """

    narrow: ClassVar[dict[str, Any]] = {"embed_dim": 48, "num_heads": 3}

    def _declare(self, entry: Mapping[str, Any], levels: Sequence[int] | None) -> None:
        self.patch = int(self.model.patch_embed.patch_size[0])
        pooled = ("mean",) if self.model.cls_token is None else ("cls", "mean")
        self.pooled_dims = dict.fromkeys(pooled, int(self.model.embed_dim))
        self.default = pooled[0]
        depth = len(self.model.blocks)
        self.blocks = range(depth)
        usual = entry.get("levels", [depth // 2 - 1, 3 * depth // 4 - 1, depth - 1])
        self.levels = named_levels(levels, usual, self.blocks)

    @without_gradients
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """Class token and mean of the cells after the final norm, and the maps of the levels wanted."""
        numbers = {level: self._block(level) for level in levels}
        wanted = sorted(set(numbers.values())) or [self.blocks[-1]]
        pixels = fitted(pixels, self.patch, self.size)
        tokens, maps = self.model.forward_intermediates(pixels, indices=wanted, norm=self.normed)
        found = dict(zip(wanted, maps, strict=True))
        cells = tokens[:, self.model.num_prefix_tokens :]
        said = {"cls": tokens[:, 0], "mean": cells.mean(1)}
        pooled = {place: said[place] for place in self.pooled_dims}
        return Features(pooled, {level: found[number] for level, number in numbers.items()}, self.default)

    def map_width(self, level: str) -> int:
        """The width, at every block."""
        self._block(level)
        return self.pooled_dims["mean"]

    def stride(self, level: str) -> int:
        """The patch, at every block."""
        self._block(level)
        return self.patch

    def _architecture(self, name: str) -> Any:
        return timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True, **self.overrides)

    def _block(self, level: str) -> int:
        number = level_number(level, self.levels, "block", self.blocks)
        if number is None:
            raise self.no_level(level)
        return number
