"""Weights of others in timm's architectures: which of a file's names are the network's, and what it was fed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from deo_bench.bands import Unit, named_bands
from deo_bench.errors import UserError, nearest, shown
from deo_bench.normalisation import Normalisation
from deo_bench.teachers._checkpoints import Convert, first_line, load_checkpoint, some
from deo_bench.teachers._pyramid import TimmPyramid
from deo_bench.teachers._timm import IMAGENET_MEAN, IMAGENET_STD, TimmTeacher, View, conversion, is_vit
from deo_bench.teachers._vit import TimmVit


@dataclass(frozen=True)
class Reading:
    """How a file is read: where its tensors are, which names are the network's, and timm's arguments of it."""

    key: str = ""
    prefix: str = ""
    drop: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def converted(self, state: Mapping[str, Tensor], model: nn.Module) -> Mapping[str, Tensor]:
        """The network's own names and no classifier; a UserError where it is not whole, with the prefix that would do.

        state: the file's tensors by name.
        """
        kept = {name.removeprefix(self.prefix): at for name, at in state.items() if name.startswith(self.prefix)}
        kept = {name: value for name, value in kept.items() if not name.startswith(self.drop)}
        own = model.state_dict()
        if not own.keys() & kept.keys() and (better := self._better(state, own)):
            raise UserError(self._told(sorted(own), sorted(state), better))
        found = dict(conversion(kept, model))
        missing, foreign = sorted(own.keys() - found.keys()), sorted(found.keys() - own.keys())
        if missing or foreign:
            raise UserError(self._told(missing, foreign, self._better(state, own), len(state) - len(kept)))
        _check_stem(found, own)
        return found

    def _told(self, missing: Sequence[str], foreign: Sequence[str], better: str, left_out: int = 0) -> str:
        told = [f"{verb} {some(names)}" for verb, names in (("lacks", missing), ("has", foreign)) if names]
        beside = f" ({left_out} more were left out)" if left_out else ""
        remedy = f"set prefix = {shown(better)}" if better else "say prefix, drop, key, or another model"
        return f"not the weights of this architecture: it {' and '.join(told)}{beside}; {remedy}"

    def _better(self, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
        """The prefix that fits most of the network's names where another fits more than the one that is set."""
        fits: Counter[str] = Counter()
        for name in state:
            at = [0, *(place + 1 for place, letter in enumerate(name) if letter == ".")]
            fits.update(name[:place] for place in at if name[place:] in own)
        best, count = max(fits.items(), key=lambda each: each[1], default=("", 0))
        return best if count > max(fits[self.prefix], len(own) // 2) else ""


def seen_as(
    bands: str | list[str], unit: Unit, mean: float | list[float] | None, std: float | list[float] | None, white: float
) -> View:
    """The bands that weights were trained on, in the file's order, and how they were normalised."""
    sees, names = named_bands(bands)
    if mean is None and std is None and sees == "rgb" and unit == "display":
        return sees, names, Normalisation(unit, IMAGENET_MEAN, IMAGENET_STD, white)
    if mean is None or std is None:
        raise UserError("say mean and std of the bands in their unit (0 and 1 where the pixels were taken as they are)")
    if min([std] if isinstance(std, float | int) else std, default=0) <= 0:
        raise UserError(f"std: has to be above 0, got {std}")
    return sees, names, Normalisation(unit, _each(mean, names, "mean"), _each(std, names, "std"), white)


class _Foreign(TimmTeacher):
    """What both families of architectures change: the bands of the stem, timm's arguments, the names in the file."""

    def _views(self, entry: Mapping[str, Any], white: float) -> Sequence[View]:
        self.reading: Reading = entry["reading"]
        return [entry["view"]]

    def _fill(self, path: Path, convert: Convert) -> None:
        load_checkpoint(self.model, path, convert, self.reading.key)


def family_of(model: str) -> type[ForeignVit] | type[ForeignPyramid]:
    """Which of the two an architecture of timm's is; a UserError where timm does not have it."""
    if not timm.is_model(model.partition(".")[0]):
        raise UserError(f"model: timm has no architecture {shown(model)}{nearest(model, timm.list_models())}")
    return ForeignVit if is_vit(model) else ForeignPyramid


class ForeignVit(_Foreign, TimmVit):
    """One of timm's vision transformers for the bands of a file."""

    def _architecture(self, name: str) -> Any:
        return _created(self, name, {"dynamic_img_size": True, **self.overrides})


class ForeignPyramid(_Foreign, TimmPyramid):
    """One of timm's pyramids for the bands of a file."""

    def _architecture(self, name: str) -> Any:
        config = timm.models.get_pretrained_cfg(name)
        sizes = {"dynamic_img_size": True} if config is not None and config.fixed_input_size else {}
        model = _created(self, name, {**sizes, **self.overrides})
        if not hasattr(model, "forward_intermediates") or not hasattr(model, "forward_head"):
            raise UserError(f"timm's {name} has no forward_intermediates, through which its maps would be seen")
        return model


def _created(backbone: _Foreign, name: str, made: Mapping[str, Any]) -> Any:
    bands = len(backbone.band_sets[backbone.first])
    given = {**made, **backbone.reading.settings}
    try:
        return timm.create_model(name, pretrained=False, num_classes=0, in_chans=bands, **given)
    except Exception as error:  # what an architecture says of arguments that it does not take is its own
        raise UserError(f"timm does not make {name} with {shown(given)}: {first_line(error)}") from None


def _check_stem(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """A first layer for other bands is told as such."""
    for name, value in own.items():
        given = found[name]
        if value.ndim == 4 and value.shape[:1] + value.shape[2:] == given.shape[:1] + given.shape[2:]:
            if value.shape[1] != given.shape[1]:
                raise UserError(f"{name} takes {given.shape[1]} channels, and bands names {value.shape[1]}")
            return


def _each(value: float | list[float], bands: Sequence[str], what: str) -> tuple[float, ...]:
    each = tuple(float(one) for one in value) if isinstance(value, list) else (float(value),) * len(bands)
    if len(each) != len(bands):
        raise UserError(f"{what}: {len(each)} numbers for {len(bands)} bands; expected one a band, or one for all")
    return each
