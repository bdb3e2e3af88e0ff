"""timm's vision transformers as frozen teachers: what DINOv2, DINOv3 and others of their kind share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.bands import BAND_SETS
from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher
from deo_bench.teachers._checkpoints import Convert, load_checkpoint
from deo_bench.weights import fetch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class TimmVit(Teacher):
    """A vision transformer of timm's, seen through its own `forward_intermediates`.

    entry: its card, with timm's name (`architecture`) and its usual `levels`, block numbers of early, mid, late;
    load: whether to load its weights (the untrained control does not); convert: timm's conversion of checkpoint
    names. The native input is RGB as shown on a screen (reflectance `white` and above is 1), normalised as ImageNet,
    or as the entry's `mean` and `std` say. Images of any size: those that are no multiple of the patch are resized
    (bilinear) to the next, after the shortest side was brought to `size` where that is given; strides are then in
    pixels of the resized image.
    """

    overrides: ClassVar[dict[str, Any]] = {}
    """Arguments of the architecture that tests set to make it small."""

    def __init__(
        self,
        name: str,
        entry: Mapping[str, Any],
        load: bool,
        convert: Convert,
        file: Path | None,
        size: int | None,
        white: float,
        normed: bool,
        levels: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.name, self.size, self.normed = name, size, normed
        self.model = self._architecture(str(entry["architecture"]))
        self.patch = int(self.model.patch_embed.patch_size[0])
        self.band_sets = {"rgb": BAND_SETS["rgb"]}
        mean, std = entry.get("mean", IMAGENET_MEAN), entry.get("std", IMAGENET_STD)
        self.normalisations = {"rgb": Normalisation("display", tuple(mean), tuple(std), white)}
        self.pooled_dims = dict.fromkeys(("cls", "mean"), int(self.model.embed_dim))
        self.default = "cls"
        self.blocks = range(len(self.model.blocks))
        self.levels = named_levels(levels, entry["levels"], self.blocks)
        if load:
            load_checkpoint(self.model, fetch(f"teacher {name}", entry, file), convert)
        else:
            _open_layer_scales(self.model)
        self.freeze()

    @torch.no_grad()
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """Class token and mean of the cells after the final norm, and the maps of the levels wanted."""
        numbers = {level: self._block(level) for level in levels}
        wanted = sorted(set(numbers.values())) or [self.blocks[-1]]
        tokens, maps = self.model.forward_intermediates(self._fitted(pixels), indices=wanted, norm=self.normed)
        found = dict(zip(wanted, maps, strict=True))
        cells = tokens[:, self.model.num_prefix_tokens :]
        pooled = {"cls": tokens[:, 0], "mean": cells.mean(1)}
        return Features(pooled, {level: found[number] for level, number in numbers.items()}, self.default)

    def map_width(self, level: str) -> int:
        """The width, at every block."""
        self._block(level)
        return self.pooled_dims["cls"]

    def stride(self, level: str) -> int:
        """The patch, at every block."""
        self._block(level)
        return self.patch

    def _architecture(self, name: str) -> Any:
        return timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True, **self.overrides)

    def _fitted(self, pixels: Tensor) -> Tensor:
        """Images of a size that the patch divides."""
        height, width = pixels.shape[-2:]
        scale = self.size / min(height, width) if self.size else 1.0
        fitted = [-(-round(side * scale) // self.patch) * self.patch for side in (height, width)]
        if fitted == [height, width]:
            return pixels
        return F.interpolate(pixels, fitted, mode="bilinear", align_corners=False, antialias=True)

    def _block(self, level: str) -> int:
        number = level_number(level, self.levels, "block", self.blocks)
        if number is None:
            raise self.no_level(level)
        return number


def _open_layer_scales(model: nn.Module) -> None:
    """Layer scales start at 1: at 1e-5, as pre-training starts, an untrained class token is the same for all images."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.rpartition(".")[2].startswith("gamma"):
                parameter.fill_(1.0)
