"""Any backbone of timm's as a student, its first layer replaced by a stem of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deo_bench.declarations import Count, Fraction
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.normalisation import Normalisation
from deo_bench.students import Stem, Student, student
from deo_bench.students._masks import over_pixels, replace_masked
from deo_bench.students._timm import EMBEDDED, VIT, WHO, build, family_of, has_batch_statistics, load, take, take_first
from deo_bench.students._vit import usual_levels


@student("timm", paper="https://github.com/huggingface/pytorch-image-models")
class Timm(Student):
    """Any timm model whose first layer is one convolution, which the stem replaces: `model = "resnet18"`.

    Checked families: ViT and DeiT, Swin, Swin-v2, ResNet, ConvNeXt; another one is refused in one line where its
    first layer or its maps are not of the kind. The stem has the first convolution's width, stride and kernel, and a
    bias also where that had none (before a batch norm it does nothing).

    Levels of a ViT are blocks from 0, as of `vit_base`; of all others stages from 1, a ResNet's four after its
    first convolution: early, mid and late are the last three; `levels` overrides them, `block_N` or `stage_N` names
    any. Maps are timm's `forward_intermediates`; `normed` applies the final norm where timm does. Pooled: `mean`, as
    the model's own head pools, and `cls`, the default, for a ViT with a class token. Models with batch statistics
    pass each band set alone.

    Images: of a multiple of the stem's stride, and at least the coarsest stride for ConvNeXt and other
    convolutional networks, which drop edges that do not fill a cell (a ResNet rounds up instead).

    size: pixels that positions and windows are made for, of ViT and Swin (the model's own where it is left out);
    window: cells of a Swin's window; drop_path: the last block's rate; file: a safetensors file of timm's for this
    model that weights start from. Its first layer is inflated to the bands: red, green and blue get their filters by
    name, other bands their mean, all times 3 / bands, so that the filters' sum stays.
    """

    overrides: Mapping[str, Any] = {}
    """What a model is built with beside its name: tests make architectures small."""

    def __init__(
        self,
        stem: Callable[..., Stem],
        band_sets: Mapping[str, tuple[str, ...]],
        normalisations: Mapping[str, Normalisation],
        *,
        model: str = "resnet18",
        size: Count | None = None,
        window: Count | None = None,
        drop_path: Fraction = 0.0,
        normed: bool = False,
        levels: list[int] | None = None,
        file: Path | None = None,
    ) -> None:
        super().__init__()
        self.declare(band_sets, normalisations)
        self.model, self.normed = model, normed
        self.family = family_of(model)
        self.made_for = (size, window)
        engine = build(model, self.family, size, window, drop_path, **self.overrides)
        if file is not None:
            load(engine, model, Path(file))
        first = take_first(engine, model, self.family)
        kernel, patch = first.kernel_size[0], first.stride[0]
        self.stem = stem(first.out_channels, patch, *([kernel] if kernel != patch else []))
        if file is not None:
            self.stem.inflate(first.weight.detach(), None if first.bias is None else first.bias.detach())
        self.mask_token = nn.Parameter(torch.zeros(first.out_channels))
        self.engine = engine
        self.has_batch_statistics = has_batch_statistics(engine)
        self._declare_places(engine, levels)

    def _declare_places(self, engine: Any, levels: list[int] | None) -> None:
        self.prefix = 0
        stages = list(engine.feature_info)
        if self.family in VIT:
            self.unit, self.numbers, self.skipped = "block", range(len(stages)), 0
            usual, self.prefix = usual_levels(len(stages)), int(engine.num_prefix_tokens)
            self.default = "cls" if engine.cls_token is not None else "mean"
        else:
            # timm counts a ResNet's first convolution as a stage of its own.
            self.skipped = int(self.family == "resnet")
            self.unit, self.numbers = "stage", range(1, len(stages) - self.skipped + 1)
            usual, self.default = [max(len(self.numbers) - back, 1) for back in (2, 1, 0)], "mean"
        places = stages[self.skipped :]
        self.widths = {number: int(place["num_chs"]) for number, place in zip(self.numbers, places, strict=True)}
        self.strides = {number: int(place["reduction"]) for number, place in zip(self.numbers, places, strict=True)}
        self.levels = named_levels(levels, usual, self.numbers)
        width = int(engine.head_hidden_size)
        self.pooled_dims = dict.fromkeys((self.default, "mean"), width)

    def embed(self, pixels: Tensor, sees: str, mask: Tensor | None = None) -> Tensor:
        """The stem's tokens [B, h, w, D], masked ones replaced; a mask may be on a coarser grid."""
        height, width = pixels.shape[-2:]
        patch = self.stem.patch
        if height % patch or width % patch:
            raise UserError(f"{WHO}: stride {patch} of {self.model!r} does not divide images of {height} x {width}")
        coarsest = max(self.strides.values())
        if self.family not in (*EMBEDDED, "resnet") and min(height, width) < coarsest:
            raise UserError(f"{WHO}: {self.model!r} needs {coarsest} pixels a side, and images are {height} x {width}")
        # Tokens of overlapping kernels see their neighbours' pixels too.
        shown = over_pixels(pixels, mask) if self.stem.kernel != patch else pixels
        return replace_masked(self.stem(shown, sees).permute(0, 2, 3, 1), mask, self.mask_token)

    def trunk(self, tokens: Tensor, levels: tuple[str, ...]) -> Features:
        """Features of tokens [B, h, w, D] by timm's own model."""
        numbers = {level: self._number(level) for level in levels}
        wanted = sorted(set(numbers.values()))
        # timm takes an empty list for all, so the last one is asked for where none is wanted.
        indices = [number - self.numbers.start + self.skipped for number in wanted or [self.numbers[-1]]]
        values, maps = self.engine.forward_intermediates(tokens.permute(0, 3, 1, 2), indices, norm=self.normed)
        found = dict(zip(wanted, maps, strict=False))
        shown = {level: found[number] for level, number in numbers.items()}
        return Features(self.pool(values), shown, self.default, values)

    def pool(self, last: Tensor) -> dict[str, Tensor]:
        """As timm's head pools its last features; of a ViT its class token, where there is one, and the cells' mean."""
        if self.family not in VIT:
            return {"mean": self.engine.forward_head(last, pre_logits=True)}
        own = {"cls": last[:, 0]} if self.default == "cls" else {}
        return {**own, "mean": last[:, self.prefix :].mean(1)}

    def start(self, state: Mapping[str, Tensor], source: str, model: str | None = None) -> list[str]:
        """From weights of its own model, as `file` does."""
        engine = build(self.model, self.family, *self.made_for, 0.0, **self.overrides)
        take(engine, self.model, state, f"{source}: not weights of {self.model!r}")
        first = take_first(engine, self.model, self.family)
        self.engine.load_state_dict(engine.state_dict())
        self.stem.inflate(first.weight.detach(), None if first.bias is None else first.bias.detach())
        return ["mask_token as drawn"]

    def map_width(self, level: str) -> int:
        """The block's or stage's width."""
        return self.widths[self._number(level)]

    def stride(self, level: str) -> int:
        """Pixels a cell of the block or stage covers."""
        return self.strides[self._number(level)]

    def _number(self, level: str) -> int:
        number = level_number(level, self.levels, self.unit, self.numbers)
        if number is None:
            raise self.no_level(level)
        return number
