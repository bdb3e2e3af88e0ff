"""Architectures in a folder of the user's: its `hubconf.py` is run by torch.hub, on a file that is read first."""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deo_bench.errors import MissingInput, UserError
from deo_bench.teachers._checkpoints import first_line, read_content
from deo_bench.teachers._timm import open_layer_scales

PACKAGE = "radio"
"""What the checkout's own package is imported as: a process can hold one of that name."""


def built(who: str, checkout: Path, path: Path) -> Any:
    """RADIO's network from a checkout and a file of weights, in float32; running it runs the checkout's code.

    The file is read first in the way that runs nothing: one that is not whole, or that would run code of its own
    where the checkout unpickles it, is a UserError. So is one that lacks weights of the network.
    """
    checkout = checkout.resolve()
    if not (checkout / "hubconf.py").is_file():
        raise MissingInput(f"{who}: checkout = {str(checkout)!r} holds no hubconf.py", "name a checkout of its code")
    content = read_content(path)
    if not isinstance(content, dict) or "args" not in content or not {"state_dict", "state_dict_ema"} & content.keys():
        raise UserError(f"{path}: no checkpoint of {who}: it holds no args, or no state_dict")
    del content
    _refuse_another(checkout)
    try:
        with warnings.catch_warnings(record=True) as said, torch.serialization.safe_globals([Namespace]):
            warnings.simplefilter("always")
            model = torch.hub.load(str(checkout), "radio_model", source="local", version=str(path), progress=False)
    except Exception as error:  # the checkout's code fails in any way it likes
        raise UserError(f"{who}: {checkout} cannot load {path}: {first_line(error)}") from None
    missing = next((str(one.message) for one in said if str(one.message).startswith("Missing keys")), None)
    if missing:
        raise UserError(f"{path}: not weights of this architecture: {missing[:160]}")
    # The conditioner casts to the precision that the file was trained in; what the engine asks for has to hold.
    model.input_conditioner.dtype = None
    return model.float()


def redraw(model: nn.Module) -> None:
    """Draw every parameter anew: as its layer does, else from a narrow normal distribution; layer scales are 1."""
    for module in model.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
            continue
        for parameter in module.parameters(recurse=False):
            nn.init.trunc_normal_(parameter, std=0.02)
    open_layer_scales(model)


def _refuse_another(checkout: Path) -> None:
    """A second checkout would run the first one's modules, which Python keeps by name."""
    held = getattr(sys.modules.get(PACKAGE), "__file__", None)
    if held and not Path(held).resolve().is_relative_to(checkout):
        raise UserError(f"checkout: {Path(held).parent.parent} is loaded already, and a process can hold one of them")
