"""timm's feature pyramids as frozen teachers: ConvNeXt, ResNet, Swin and others whose maps get coarser by stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import timm
from torch import Tensor

from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.teachers import without_gradients
from deo_bench.teachers._timm import TimmTeacher, fitted


class TimmPyramid(TimmTeacher):
    """A hierarchical network of timm's, seen through its own `forward_intermediates` and `forward_head`.

    entry: its card, with timm's name (`architecture`) and its usual `levels`, stages from 1 in timm's order of
    `feature_info` (the last three where it says nothing). Images
    that the coarsest stride does not divide are resized to the next size that it does.
    """

    narrow: ClassVar[dict[str, Any]] = {"depths": (1, 1, 2, 1), "dims": (12, 16, 24, 48)}
    """ConvNeXt's arguments; of no other architecture."""

    def _declare(self, entry: Mapping[str, Any], levels: Sequence[int] | None) -> None:
        stages = list(self.model.feature_info)
        self.widths = [int(stage["num_chs"]) for stage in stages]
        self.strides = [int(stage["reduction"]) for stage in stages]
        self.stages = range(1, len(stages) + 1)
        self.pooled_dims = {"mean": int(self.model.head_hidden_size)}
        self.levels = named_levels(levels, entry.get("levels", self.stages[-3:]), self.stages)

    @without_gradients
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """The vector that the head pools of the last features, before any classifier, and the maps of the levels."""
        numbers = {level: self._stage(level) for level in levels}
        wanted = sorted({number - 1 for number in numbers.values()}) or [len(self.stages) - 1]
        pixels = fitted(pixels, max(self.strides), self.size)
        last, maps = self.model.forward_intermediates(pixels, indices=wanted, norm=self.normed)
        found = dict(zip(wanted, maps, strict=True))
        if self.normed and len(self.stages) - 1 in found:
            found[len(self.stages) - 1] = self.normed_last(found[len(self.stages) - 1])
        pooled = {"mean": self.model.forward_head(last, pre_logits=True)}
        return Features(pooled, {level: found[number - 1] for level, number in numbers.items()}, self.default)

    def normed_last(self, cells: Tensor) -> Tensor:
        """The last stage [B, C, H, W] under a norm that timm's `norm = True` leaves out; nothing more usually."""
        return cells

    def map_width(self, level: str) -> int:
        """The stage's channels."""
        return self.widths[self._stage(level) - 1]

    def stride(self, level: str) -> int:
        """The stage's reduction."""
        return self.strides[self._stage(level) - 1]

    def _architecture(self, name: str) -> Any:
        """The network; one that is built for a size of image (Swin) is asked to take any."""
        config = timm.models.get_pretrained_cfg(name)
        sizes: dict[str, Any] = {"dynamic_img_size": True} if config is not None and config.fixed_input_size else {}
        try:
            model = timm.create_model(name, pretrained=False, num_classes=0, **sizes, **self.overrides)
        except TypeError:
            if not sizes:
                raise
            raise UserError(f"timm's {name} takes images of one size only, and teachers have to take any") from None
        if not hasattr(model, "forward_intermediates") or not hasattr(model, "forward_head"):
            raise UserError(f"timm's {name} has no forward_intermediates, through which its maps would be seen")
        return model

    def _stage(self, level: str) -> int:
        number = level_number(level, self.levels, "stage", self.stages)
        if number is None:
            raise self.no_level(level)
        return number
