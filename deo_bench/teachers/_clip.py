"""The image towers of CLIP and its kin, as open_clip builds them: what they say, and their part of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import timm
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn
from torch.func import functional_call

from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError, shown
from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.libraries import import_library
from deo_bench.teachers import Teacher, without_gradients
from deo_bench.teachers._checkpoints import load_checkpoint
from deo_bench.teachers._timm import display, fitted
from deo_bench.weights import fetch

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
INTERPOLATION = "bicubic"
"""How all of these weights' images were resized."""

FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Names of a state dict in open_clip's repositories; not every one has the first."""

Said = tuple[dict[str, Tensor], dict[int, Tensor]]
"""Pooled vectors by name, and maps [B, D, h, w] by number of the block."""


class ClipTeacher(Teacher):
    """An image tower with one vector by default and maps by block; what its options mean stands in `clip.py`.

    entry: its card, with open_clip's name (`architecture`), its usual `levels`, and `mean` and `std` where they are not
    OpenAI's.
    """

    narrow: ClassVar[dict[str, Any]] = {"width": 48, "heads": 3}

    def __init__(
        self,
        name: str,
        entry: Mapping[str, Any],
        load: bool,
        file: Path | None,
        pooling: str | None,
        size: int | None,
        white: float,
        normed: bool,
        levels: Sequence[int] | None,
        quick_gelu: bool | None,
    ) -> None:
        super().__init__()
        who = f"teacher {name}"
        self.name, self.size, self.normed = name, size, normed
        self.tower = tower_of(str(entry["architecture"]), quick_gelu, self.overrides, who)
        widths = {"cls": self.tower.width, "projected": self.tower.embedding, "mean": self.tower.width}
        self.pooled_dims = {place: widths[place] for place in self.tower.pooled}
        self.default = pooling or self.tower.pooled[0]
        if self.default not in self.pooled_dims:
            raise UserError(f"{who}: pooling = {pooling!r}: its tower has no class token, it has projected and mean")
        self.band_sets = {"rgb": BAND_SETS["rgb"]}
        self.normalisations = {"rgb": display({"mean": MEAN, "std": STD, **entry}, white)}
        self.blocks = range(self.tower.depth)
        self.levels = named_levels(levels, entry["levels"], self.blocks)
        if load:
            load_checkpoint(self.tower, fetch(who, {"filename": FILES, **entry}, file), _of_tower)
        self.freeze()

    @without_gradients
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """The pooled vectors and the maps of the levels wanted."""
        numbers = {level: self._block(level) for level in levels}
        wanted = sorted(set(numbers.values())) or [self.blocks[-1]]
        pixels = fitted(pixels, self.tower.patch, self.size, INTERPOLATION)
        pooled, maps = self.tower.say(pixels, wanted, self.normed)
        return Features(pooled, {level: maps[number] for level, number in numbers.items()}, self.default)

    def map_width(self, level: str) -> int:
        """The width, at every block."""
        self._block(level)
        return int(self.tower.width)

    def stride(self, level: str) -> int:
        """The patch, at every block, in pixels of the resized image."""
        self._block(level)
        return int(self.tower.patch)

    def _block(self, level: str) -> int:
        number = level_number(level, self.levels, "block", self.blocks)
        if number is None:
            raise self.no_level(level)
        return number


class ClipTower(nn.Module):
    """open_clip's own vision transformer: a class token that is projected into the space shared with text."""

    pooled = ("cls", "projected", "mean")
    visual: Any

    def __init__(self, architecture: str, quick_gelu: bool | None, overrides: Mapping[str, Any], who: str) -> None:
        super().__init__()
        config, build = _config(architecture, who)
        vision = dict(config["vision_cfg"])
        if "width" in overrides:
            vision |= {"width": overrides["width"], "head_width": overrides["width"] // overrides["heads"]}
        is_quick = config.get("quick_gelu", False) if quick_gelu is None else quick_gelu
        self.visual = build(config["embed_dim"], vision, is_quick)
        self.patch, self.depth = int(self.visual.patch_size[0]), int(self.visual.transformer.layers)
        self.width, self.embedding = int(self.visual.class_embedding.shape[0]), int(config["embed_dim"])

    def say(self, pixels: Tensor, blocks: Sequence[int], normed: bool) -> Said:
        """What the tower says of images whose sides are multiples of the patch, its positions resampled to their grid.

        open_clip's tower knows the grid that it was trained on alone; other positions stand in for one call.
        """
        grid = [side // self.patch for side in pixels.shape[-2:]]
        own = self.visual.positional_embedding[None]
        resampled = resample_abs_pos_embed(own, grid, list(self.visual.grid_size), num_prefix_tokens=1)[0]
        said: Said = functional_call(self, {"visual.positional_embedding": resampled}, (pixels, blocks, normed))
        return said

    def forward(self, pixels: Tensor, blocks: Sequence[int], normed: bool) -> Said:
        """open_clip's own `forward_intermediates`; beside its embedding, what it is a projection of."""
        visual, wanted = self.visual, sorted({*blocks, self.depth - 1})
        told = visual.forward_intermediates(
            pixels, wanted, normalize_intermediates=normed, output_fmt="NLC", output_extra_tokens=True
        )
        cells = dict(zip(wanted, told["image_intermediates"], strict=True))
        first, last = told["image_intermediates_prefix"][-1][:, 0], cells[wanted[-1]]
        if not normed:
            first, last = visual.ln_post(first), visual.ln_post(last)
        pooled = {"cls": first, "projected": told["image_features"], "mean": last.mean(1)}
        grid = [side // self.patch for side in pixels.shape[-2:]]
        return pooled, {number: cells[number].transpose(1, 2).unflatten(2, grid) for number in blocks}

    def part(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The image tower's part of a checkpoint of both towers."""
        return {f"visual.{name}": value for name, value in _image_part(state).items()}


class SiglipTower(nn.Module):
    """timm's vision transformer behind SigLIP: no class token, an attention that pools the cells, no projection."""

    pooled = ("projected", "mean")
    trunk: Any

    def __init__(self, architecture: str, quick_gelu: bool | None, overrides: Mapping[str, Any], who: str) -> None:
        super().__init__()
        if quick_gelu is not None:
            raise UserError(f"{who}: quick_gelu = {shown(quick_gelu)}: its tower is timm's, which has no such choice")
        config, _ = _config(architecture, who)
        vision = config["vision_cfg"]
        small = {"embed_dim": overrides["width"], "num_heads": overrides["heads"]} if "width" in overrides else {}
        name, pool = vision["timm_model_name"], vision["timm_pool"]
        self.trunk = timm.create_model(name, num_classes=0, global_pool=pool, dynamic_img_size=True, **small)
        self.patch, self.depth = int(self.trunk.patch_embed.patch_size[0]), len(self.trunk.blocks)
        self.width = self.embedding = int(self.trunk.embed_dim)

    def say(self, pixels: Tensor, blocks: Sequence[int], normed: bool) -> Said:
        """timm's `forward_intermediates`, which resamples positions; what its head pools is `encode_image`'s."""
        last, maps = self.trunk.forward_intermediates(pixels, indices=list(blocks), norm=normed)
        pooled = {"projected": self.trunk.forward_head(last), "mean": last.mean(1)}
        return pooled, dict(zip(blocks, maps, strict=True))

    def part(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The image tower's part of a checkpoint of both towers."""
        return dict(_image_part(state))


def tower_of(architecture: str, quick_gelu: bool | None, overrides: Mapping[str, Any], who: str) -> Any:
    """The image tower of an architecture by open_clip's name, untrained and without the text tower."""
    config, _ = _config(architecture, who)
    kind = SiglipTower if "timm_model_name" in config["vision_cfg"] else ClipTower
    return kind(architecture, quick_gelu, overrides, who)


def _config(architecture: str, who: str) -> tuple[dict[str, Any], Any]:
    """open_clip's configuration of an architecture, and what builds an image tower of it."""
    open_clip = import_library("open_clip", who)
    config = open_clip.get_model_config(architecture)
    if config is None:
        raise UserError(f"{who}: open_clip {open_clip.__version__} has no architecture {architecture!r}")
    return config, import_library("open_clip.model", who)._build_vision_tower


def _image_part(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names under `visual.`, whether or not a trainer put `module.` before them."""
    bare = {name.removeprefix("module."): value for name, value in state.items()}
    found = {name.removeprefix("visual."): value for name, value in bare.items() if name.startswith("visual.")}
    if not found:
        raise UserError("it has no image tower, whose names begin with visual.")
    return found


def _of_tower(state: Mapping[str, Tensor], tower: Any) -> Mapping[str, Tensor]:
    part: Mapping[str, Tensor] = tower.part(state)
    return part
