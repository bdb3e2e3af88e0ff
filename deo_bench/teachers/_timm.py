"""What timm's architectures share as teachers, whatever their family: sizes, untrained weights, names on the hub."""

from __future__ import annotations

import difflib
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg, model_entrypoint
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError, shown
from deo_bench.features import at_least_float32
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher
from deo_bench.teachers._checkpoints import Convert, load_checkpoint
from deo_bench.weights import fetch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
View = tuple[str, tuple[str, ...], Normalisation]
VIT_FILES = ("vision_transformer", "deit", "eva")
"""timm's files of plain vision transformers that take images of any size."""


class TimmTeacher(Teacher):
    """What vision transformers and pyramids share: how one of timm's networks is built, loaded and shown images.

    entry: its card, with timm's name (`architecture`) and its usual `levels`; load: whether to load its weights (the
    untrained control does not); convert: timm's conversion of checkpoint names; file: weights of the user's own; size:
    what the shortest side is brought to; white: the reflectance shown as white.
    """

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
        self.band_sets, self.normalisations = {}, {}
        for sees, bands, normalisation in self._views(entry, white):
            self.band_sets[sees], self.normalisations[sees] = bands, normalisation
        self.model = self._architecture(str(entry["architecture"]))
        self._declare(entry, levels)
        if load:
            self._fill(fetch(f"teacher {name}", entry, file), convert)
        else:
            open_layer_scales(self.model)
        self.freeze()

    def _views(self, entry: Mapping[str, Any], white: float) -> Sequence[View]:
        """Band sets by name, their bands in order and how those are normalised: RGB as shown, usually."""
        return [("rgb", BAND_SETS["rgb"], display(entry, white))]

    def _fill(self, path: Path, convert: Convert) -> None:
        """Load a file into the network."""
        load_checkpoint(self.model, path, convert)

    @abstractmethod
    def _architecture(self, name: str) -> Any:
        """The network by timm's name, untrained, for the first of its band sets."""

    @abstractmethod
    def _declare(self, entry: Mapping[str, Any], levels: Sequence[int] | None) -> None:
        """Say widths, strides, pooled vectors and levels of the network."""


def display(entry: Mapping[str, Any], white: float) -> Normalisation:
    """RGB as shown on a screen, normalised as an entry says; as ImageNet where it says nothing."""
    mean, std = entry.get("mean", IMAGENET_MEAN), entry.get("std", IMAGENET_STD)
    return Normalisation("display", tuple(mean), tuple(std), white)


def fitted(pixels: Tensor, cell: int, size: int | None, mode: str = "bilinear") -> Tensor:
    """Images of a size that the coarsest cell divides, after the shortest side was brought to `size`."""
    height, width = pixels.shape[-2:]
    scale = size / min(height, width) if size else 1.0
    wanted = [-(-round(side * scale) // cell) * cell for side in (height, width)]
    if wanted == [height, width]:
        return pixels
    # Half precision has no such resize on the CPU.
    resized = F.interpolate(at_least_float32(pixels), wanted, mode=mode, align_corners=False, antialias=True)
    return resized.to(pixels.dtype)


def open_layer_scales(model: nn.Module) -> None:
    """Layer scales start at 1: at 1e-5, as pre-training starts, an untrained class token is the same for all images."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.rpartition(".")[2].startswith("gamma"):
                parameter.fill_(1.0)


def entry_of(model: str, needs_weights: bool) -> dict[str, Any]:
    """An entry for any of timm's models, from timm's own configuration of its published weights.

    needs_weights: they are to come from the hub, so the name has to say which (`resnet50.a1_in1k`), and they have to
    lie in timm's own repository there.
    """
    published = timm.list_models(pretrained=True)
    known = published if needs_weights else [*published, *timm.list_models()]
    if model not in known:
        raise _unknown(model, published)
    found = get_pretrained_cfg(model)
    if found is None or not len(found.mean) == found.input_size[0] == 3:
        raise UserError(f"teacher 'timm': {model} takes no RGB images, or timm does not say how they are normalised")
    if needs_weights and found.hf_hub_id != f"timm/{model}":
        place = found.hf_hub_id or found.url or "nowhere"
        raise UserError(f"teacher 'timm': the weights of {model} are not at timm/{model} but {place}; set file = PATH")
    return {"architecture": model, "weights": f"hub:timm/{model}", "mean": found.mean, "std": found.std}


def _unknown(model: str, published: Sequence[str]) -> UserError:
    """The error for a name that timm does not have: weights of that architecture, or what is spelled alike."""
    stem = model.partition(".")[0]
    known = [name for name in published if name.partition(".")[0] == stem]
    near = difflib.get_close_matches(model, known or published, n=3, cutoff=0.4)
    told = f"; the nearest are {', '.join(near)}" if near else "; timm.list_models(pretrained=True) lists them"
    return UserError(f"teacher 'timm': timm has no model with weights {shown(model)}{told}")


def is_vit(model: str) -> bool:
    """Whether a model is one of timm's plain vision transformers; all others are taken for pyramids."""
    return model_entrypoint(model.partition(".")[0]).__module__.rpartition(".")[2] in VIT_FILES


def conversion(state: Mapping[str, Tensor], model: Any) -> Mapping[str, Tensor]:
    """timm's own conversion of a family's checkpoints, without the classifier that published files bring along."""
    convert: Convert | None = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    converted = convert(state, model) if convert else state
    named = model.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{head}." for head in ((named,) if isinstance(named, str) else named))
    own = model.state_dict()
    return {name: value for name, value in converted.items() if name in own or not name.startswith(heads)}
