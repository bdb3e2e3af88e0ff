"""Published weights, in timm's names, on their way to students of ours: renamed, folded, inflated; never in part."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from math import isqrt

import timm
import torch
from timm.layers.patch_embed import resample_patch_embed
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import is_model, list_models
from torch import Tensor

from deo_bench.errors import UserError, nearest
from deo_bench.students import Stem

CLASSIFIER = ("head.", "head_dist.", "fc.", "classifier.")


class Published:
    """A state on its way to a student's own names; `told` says what of it is left out or changed.

    source: what the weights are, in the words of an error; model: timm's architecture, whose conversion they need.
    """

    def __init__(self, state: Mapping[str, Tensor], source: str, model: str | None) -> None:
        self.source = source
        self.state = dict(state) if model is None else _converted(state, source, model)
        self.state = {name: value for name, value in self.state.items() if not name.startswith(CLASSIFIER)}
        self.told: list[str] = []

    def rename(self, old: str, new: str) -> None:
        """Every name that starts with the old start, under the new one."""
        self.state = {
            new + name.removeprefix(old) if name.startswith(old) else name: value for name, value in self.state.items()
        }

    def leave(self, name: str, words: str) -> None:
        """What the student has no place for: it is said."""
        if self.state.pop(name, None) is not None:
            self.told.append(f"its {words} are left out")

    def fold_layer_scales(self) -> None:
        """A scale of each channel of a layer's output is that layer with scaled rows: the same function without it."""
        folded = False
        for number, layer in (("1", "attn.proj"), ("2", "mlp.fc2")):
            for name in [name for name in self.state if name.endswith(f".ls{number}.gamma")]:
                start = name.removesuffix(f"ls{number}.gamma")
                weight, bias = self.state.get(f"{start}{layer}.weight"), self.state.get(f"{start}{layer}.bias")
                if weight is None or bias is None:
                    continue  # and the name is foreign
                gamma = self.state.pop(name)
                self.state[f"{start}{layer}.weight"] = gamma[:, None] * weight
                self.state[f"{start}{layer}.bias"] = gamma * bias
                folded = True
        if folded:
            self.told.append("its layer scales are folded into the layers before them")

    def fit_positions(self, grid: int, has_class_token: bool) -> None:
        """Positions of the cells alone, on the student's grid; that of the class token joins the token."""
        positions = self.state.pop("pos_embed", None)
        if positions is None or positions.ndim != 3:
            raise UserError(f"{self.source}: not weights of this student: it lacks learned positions (pos_embed)")
        prefix = positions.shape[1] - isqrt(positions.shape[1]) ** 2
        if prefix > 1:
            raise UserError(f"{self.source}: its {positions.shape[1]} positions are those of no square grid")
        token = self.state.pop("cls_token", None)
        if token is not None and prefix:
            token = token + positions[:, :1]
        if token is not None and has_class_token:
            self.state["class_token"] = token
        elif token is not None:
            self.told.append("its class token is left out")
        side = isqrt(positions.shape[1] - prefix)
        if side != grid:
            self.told.append(f"its positions are resampled from {side} x {side} to {grid} x {grid}")
        self.state["positions"] = resample_abs_pos_embed(positions[:, prefix:], [grid, grid], num_prefix_tokens=0)

    def filters(self, stem: Stem) -> tuple[Tensor, Tensor | None]:
        """The first layer on red, green and blue, with the side of the stem's own filters."""
        weight = self.state.pop("patch_embed.proj.weight", None)
        bias = self.state.pop("patch_embed.proj.bias", None)
        if weight is None or weight.ndim != 4 or weight.shape[:2] != (stem.width, 3):
            given = "none" if weight is None else str(tuple(weight.shape))
            raise UserError(
                f"{self.source}: patch_embed.proj.weight is {given}, the student wants {stem.width} filters over red, "
                "green and blue"
            )
        side = weight.shape[-1]
        if side != stem.kernel:
            self.told.append(f"its filters are resampled from {side} to {stem.kernel} pixels")
            weight = resample_patch_embed(weight, [stem.kernel, stem.kernel])
        return weight, bias


def _converted(state: Mapping[str, Tensor], source: str, model: str) -> dict[str, Tensor]:
    """timm's own conversion of a checkpoint of one of its architectures, of which the shapes alone are made."""
    if not is_model(model):
        known = nearest(model.partition(".")[0], list_models())
        raise UserError(f"student.init.model: timm {timm.__version__} has no model {model!r}{known}")
    try:
        with torch.device("meta"):
            engine = timm.create_model(model, pretrained=False, num_classes=0)
        convert = getattr(sys.modules[type(engine).__module__], "checkpoint_filter_fn", None)
        return dict(convert(state, engine) if convert else state)
    except Exception as error:  # a library's conversion of a foreign file fails in any way it likes
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{source}: not weights of {model!r} ({reason[:160]})") from None
