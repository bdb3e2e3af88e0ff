"""A checkout in small with the signature and the returns of NVlabs/RADIO's hubconf.py, and a checkpoint for it.

Of its source are kept: `radio_model`'s arguments, a file's path as `version`, a pickle that may hold anything, the
checkpoint's `args` and `state_dict` (or `state_dict_ema`) with `base_model.` and `input_conditioner.` before its
names, missing names that are only warned of, the conditioner's precision, a pair of the summary (class tokens of
`summary_idxs`, flattened) and the cells [B, L, C], and `forward_intermediates` with its arguments.
"""

from __future__ import annotations

from argparse import Namespace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch

HUBCONF = """
dependencies = ["torch", "timm"]
import os
import warnings
from collections import namedtuple

import torch
from timm.models import clean_state_dict
from timm.models.vision_transformer import Block
from torch import nn

RadioOutput = namedtuple("RadioOutput", ["summary", "features"])


class Conditioner(nn.Module):
    def __init__(self):
        super().__init__()
        self.dtype = None
        self.register_buffer("norm_mean", torch.zeros(3, 1, 1))
        self.register_buffer("norm_std", torch.ones(3, 1, 1))

    def forward(self, x):
        y = (x - self.norm_mean) / self.norm_std
        return y if self.dtype is None else y.to(self.dtype)


class Trunk(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.patch_size, self.skip, width = args.patch, len(args.teachers) + 1, args.width
        self.embed = nn.Conv2d(3, width, args.patch, args.patch)
        self.tokens = nn.Parameter(torch.zeros(self.skip, width))
        self.blocks = nn.ModuleList(Block(width, 2) for _ in range(args.depth))
        self.norm = nn.LayerNorm(width) if args.model_norm else nn.Identity()

    def start(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        return torch.cat([self.tokens.expand(len(x), -1, -1), x], 1)

    def forward_features(self, x):
        x = self.start(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class RADIOModel(nn.Module):
    def __init__(self, model, conditioner, summary_idxs, cls, window):
        super().__init__()
        self.model, self.input_conditioner, self.cls, self.window = model, conditioner, cls, window
        self.register_buffer("summary_idxs", summary_idxs)

    @property
    def patch_size(self):
        return self.model.patch_size

    @property
    def min_resolution_step(self):
        return self.patch_size * (self.window or 1)

    def forward(self, x, feature_fmt="NLC"):
        step = self.min_resolution_step
        if x.shape[-2] % step or x.shape[-1] % step:
            raise ValueError("The input resolution must be a multiple of `self.min_resolution_step`.")
        y = self.model.forward_features(self.input_conditioner(x))
        return RadioOutput(y[:, : self.cls][:, self.summary_idxs].flatten(1), y[:, self.model.skip :])
    #INTERMEDIATES
    def forward_intermediates(self, x, indices=None, return_prefix_tokens=False, norm=False, stop_early=False,
                              output_fmt="NCHW", intermediates_only=False, aggregation="sparse"):
        assert output_fmt == "NCHW" and intermediates_only and not return_prefix_tokens
        rows, columns = (side // self.patch_size for side in x.shape[-2:])
        x, found = self.model.start(self.input_conditioner(x)), []
        for number, block in enumerate(self.model.blocks):
            x = block(x)
            if number in indices:
                y = self.model.norm(x) if norm else x
                found.append(y[:, self.model.skip :].transpose(1, 2).unflatten(2, (rows, columns)))
        return found
    #END


def radio_model(version="", progress=True, adaptor_names=None, vitdet_window_size=None, return_checkpoint=False,
                **kwargs):
    assert os.path.isfile(version), "would go to the network"
    chk = torch.load(version, map_location="cpu", weights_only=False)
    args = chk["args"]
    state = clean_state_dict(chk["state_dict_ema"] if "state_dict_ema" in chk else chk["state_dict"])
    mod, conditioner = Trunk(args), Conditioner()
    told = mod.load_state_dict(under(state, "base_model."), strict=False)
    if told.missing_keys:
        warnings.warn(f"Missing keys in state dict: {told.missing_keys}")
    if told.unexpected_keys:
        warnings.warn(f"Unexpected keys in state dict: {told.unexpected_keys}")
    conditioner.load_state_dict(under(state, "input_conditioner."))
    dtype = getattr(args, "dtype", torch.float32)
    mod.to(dtype=dtype)
    conditioner.dtype = dtype
    idxs = torch.tensor([i for i, t in enumerate(args.teachers) if t.get("use_summary", True)])
    return RADIOModel(mod, conditioner, idxs, len(args.teachers), getattr(args, "window", None))


def under(state, prefix):
    return {name[len(prefix):]: value for name, value in state.items() if name.startswith(prefix)}
"""
TEACHERS = [{"name": name, "use_summary": name != "sam"} for name in ("clip", "siglip", "dino_v2", "sam")]
MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)


def write_checkout(folder: Path, has_intermediates: bool = True, code: str = HUBCONF) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not has_intermediates:
        start, rest = code.split("#INTERMEDIATES")
        code = start.rstrip(" ") + rest.split("#END")[1]
    (folder / "hubconf.py").write_text(code)
    return folder


def write_weights(path: Path, change=None, nested: str = "state_dict", **arguments) -> Path:
    """A checkpoint; `change` may alter what is saved, `arguments` are added to its args."""
    told = {"width": 16, "depth": 8, "patch": 8, "model_norm": True, "teachers": TEACHERS, **arguments}
    scope: dict = {}
    exec(compile(HUBCONF, "hubconf.py", "exec"), scope)
    torch.manual_seed(3)
    state = scope["Trunk"](Namespace(**told)).state_dict()
    state = {f"base_model.{name}": 0.3 * torch.randn_like(value) for name, value in state.items()}
    for name, values in (("norm_mean", MEAN), ("norm_std", STD)):
        state[f"input_conditioner.{name}"] = torch.tensor(values).view(3, 1, 1)
    state["_heads.0.weight"] = torch.zeros(4)
    content = {"args": Namespace(**told), nested: state, "epoch": 3}
    if change is not None:
        change(content)
    torch.save(content, path)
    return path


@cache
def options() -> dict[str, str]:
    """A checkout and weights that last as long as the process."""
    folder = Path(mkdtemp(prefix="radio-"))
    return {"checkout": str(write_checkout(folder / "code")), "file": str(write_weights(folder / "own.pth.tar"))}
