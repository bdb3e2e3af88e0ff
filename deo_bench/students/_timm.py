"""A model of timm's without its first layer: what stands in for that, and what each family is built with."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import get_pretrained_cfg_value, is_model, list_models, model_entrypoint
from torch import Tensor, nn

from deo_bench.errors import UserError, nearest

WHO = "student 'timm'"
VIT, SWIN = ("vision_transformer", "deit"), ("swin_transformer", "swin_transformer_v2")
EMBEDDED = (*VIT, *SWIN)
CHECKED = (*EMBEDDED, "resnet", "convnext")
SIDES = (64, 96)
"""Sides in pixels that a model of an unchecked family is tried with, on no device."""


class Cells(nn.Module):
    """Stands where a patch embedding stood: tokens [B, D, h, w] to [B, h, w, D], through its norm."""

    def __init__(self, grid: tuple[int, int], norm: nn.Module) -> None:
        super().__init__()
        self.grid_size, self.norm = grid, norm

    def forward(self, tokens: Tensor) -> Tensor:
        """Cells, channels last."""
        cells: Tensor = self.norm(tokens.permute(0, 2, 3, 1))
        return cells

    def dynamic_feat_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The grid of an input, which is a grid already."""
        return size


def family_of(model: str) -> str:
    """The file of timm's that a model is defined in, which is its family."""
    if not is_model(model):
        known = model.split(".")[0]
        raise UserError(f"{WHO}: timm {timm.__version__} has no model {model!r}{nearest(known, list_models())}")
    return str(model_entrypoint(model.split(".")[0]).__module__).rpartition(".")[2]


def build(model: str, family: str, size: int | None, window: int | None, drop_path: float, **more: Any) -> Any:
    """A model of timm's, drawn from torch's global generator, for three channels and without a classifier."""
    given: dict[str, Any] = {"num_classes": 0, **more}
    if family in CHECKED or drop_path:
        given["drop_path_rate"] = drop_path
    if family in VIT:
        given |= {"img_size": size, "dynamic_img_size": True, "global_pool": ""}
    elif family in SWIN:
        given |= {"img_size": size, "window_size": window, "strict_img_size": False}
    elif size is not None:
        raise UserError(f"{WHO}: {model!r} is made for no size of image; leave size out")
    if window is not None and family not in SWIN:
        raise UserError(f"{WHO}: {model!r} has no windows; leave window out")
    try:
        return timm.create_model(
            model, pretrained=False, **{key: value for key, value in given.items() if value is not None}
        )
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise UserError(f"{WHO}: timm cannot build {model!r}: {_first_line(error)}") from None


def take_first(engine: Any, model: str, family: str) -> nn.Conv2d:
    """The model's first convolution, taken out of it: its output is the model's input from here on."""
    place = get_pretrained_cfg_value(model, "first_conv")
    refused = f"{WHO}: {model!r} cannot take other bands: "
    if not isinstance(place, str) or not hasattr(engine, "forward_intermediates"):
        raise UserError(f"{refused}its first layer is not one convolution, or it gives no maps")
    first = engine.get_submodule(place)
    if not isinstance(first, nn.Conv2d) or first.in_channels != 3 or first.kernel_size[0] != first.kernel_size[1]:
        raise UserError(f"{refused}{place} is no square convolution over three channels")
    kernel, stride = first.kernel_size[0], first.stride[0]
    if first.padding != ((kernel - stride + 1) // 2,) * 2 or first.dilation != (1, 1):
        raise UserError(f"{refused}{place} is padded in a way of its own")
    if family in EMBEDDED:
        engine.patch_embed = Cells(engine.patch_embed.grid_size, engine.patch_embed.norm)
    elif place.startswith("patch_embed"):
        raise UserError(f"{refused}vision transformers of this kind are not among the families that are checked")
    else:
        engine.set_submodule(place, nn.Identity())
    if family not in CHECKED:
        _try(engine, first, refused)
    return first


def _try(engine: Any, first: nn.Conv2d, refused: str) -> None:
    """Refuse a model that does not go on from its first convolution, or not at several sizes of image."""
    copy = deepcopy(engine).to("meta").eval()
    for side in (side // first.stride[0] for side in SIDES):
        try:
            values, _ = copy.forward_intermediates(torch.zeros(1, first.out_channels, side, side, device="meta"))
            copy.forward_head(values, pre_logits=True)
        except Exception as error:  # a library's model that is used in another way fails in any way it likes
            told = f"it does not run at {' and '.join(map(str, SIDES))} pixels ({_first_line(error)})"
            raise UserError(refused + told) from None


def load(engine: Any, model: str, path: Path) -> None:
    """Weights of timm's from a safetensors file, every name and every shape, the classifier's apart."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: no safetensors file of the weights of {model!r}: {_first_line(error)}") from None
    take(engine, model, state, f"{path}: no safetensors file of the weights of {model!r}")


def take(engine: Any, model: str, state: Mapping[str, Tensor], refused: str) -> None:
    """Weights of timm's by name, every name and every shape, the classifier's apart; refused: how an error begins."""
    try:
        state = dict(state)
        convert = getattr(__import__(type(engine).__module__, fromlist=["x"]), "checkpoint_filter_fn", None)
        state = dict(convert(state, engine)) if convert else state
        unknown = set(state) - set(engine.state_dict())
        kept = {key: value for key, value in state.items() if key not in unknown or not _is_classifier(key)}
        engine.load_state_dict(kept)
    except (RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{refused}: {_first_line(error)}") from None


def has_batch_statistics(engine: nn.Module) -> bool:
    """Whether images of a batch see one another in training."""
    return any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm) for part in engine.modules())


def _is_classifier(key: str) -> bool:
    return key.startswith(("head.", "fc.", "classifier.", "head_dist."))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:200] if lines else type(error).__name__
