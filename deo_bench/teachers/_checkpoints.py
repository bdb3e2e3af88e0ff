"""Checkpoints on disk to modules in memory: nothing is unpickled that could run, nothing is loaded in part."""

from __future__ import annotations

import pickle
import zipfile
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from deo_bench.errors import UserError, shown

State = dict[str, Tensor]
Convert = Callable[..., Mapping[str, Tensor]]
NESTED = ("state_dict", "model", "model_state_dict", "teacher", "module")
"""Keys under which checkpoints keep the tensors, beside an optimiser or arguments."""

SHARED = 4
"""How often tensors may share what the file holds once (tied weights); a view repeated without end claims far more."""


def read_state(path: Path, key: str = "") -> State:
    """The tensors of a `.safetensors` file, or of a torch checkpoint read with `weights_only`.

    key: where in the file they are (`teacher`, `ema.model`), else under any of the usual names.
    A file that is truncated, foreign, or that would need code to be unpickled is a UserError that names it.
    """
    content = read_content(path)
    for part in key.split(".") if key else ():
        if not isinstance(content, dict) or part not in content:
            known = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else "no names"
            raise UserError(f"{path}: holds nothing under key = {shown(key)}; at that place it has {known}")
        content = content[part]
    return _tensors(content, path)


def read_content(path: Path) -> Any:
    """What a file holds, tensors, numbers, texts and the arguments of a command line; nothing that could run.

    A file that is truncated, foreign, or that would need code to be unpickled is a UserError that names it.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _refuse_compressed(path)
        with torch.serialization.safe_globals([Namespace]):  # a bag of values, which many training scripts save along
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except SafetensorError as error:
        raise UserError(f"{path}: not a whole safetensors file ({first_line(error)}); fetch it again") from None
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: no checkpoint, or holds pickled objects or code, so it is not loaded; save its state dict alone"
        ) from None
    except Exception as error:  # a foreign file fails in any way it likes
        raise UserError(f"{path}: cannot be read as weights ({first_line(error)}); fetch it again") from None


def load_checkpoint(module: nn.Module, path: Path, convert: Convert | None = None, key: str = "") -> None:
    """Load a file into a module, every name and every shape, after the library's own conversion of names.

    Names or shapes that do not fit are a UserError with the file's name and the first that is wrong.
    """
    state = read_state(path, key)
    try:
        converted = dict(convert(state, module)) if convert else state
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # a library's conversion of a foreign file fails in any way it likes
        raise UserError(f"{path}: not weights of this architecture ({first_line(error)})") from None
    own = module.state_dict()
    for name, value in own.items():
        if name in converted and converted[name].shape != value.shape:
            given, wanted = tuple(converted[name].shape), tuple(value.shape)
            raise UserError(f"{path}: {name} has shape {given}, this architecture wants {wanted}")
    missing, foreign = sorted(own.keys() - converted.keys()), sorted(converted.keys() - own.keys())
    if missing or foreign:
        told = [f"{verb} {some(names)}" for verb, names in (("lacks", missing), ("has", foreign)) if names]
        raise UserError(f"{path}: not weights of this architecture: it {' and '.join(told)}")
    module.load_state_dict(converted)


def _refuse_compressed(path: Path) -> None:
    """torch stores its records as they are; a small file of compressed ones can fill any memory."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
            raise UserError(
                f"{path}: its records are compressed, which torch.save never does; save its state dict anew"
            )


def _tensors(content: Any, path: Path) -> State:
    for _ in NESTED:
        inner = next((content[key] for key in NESTED if isinstance(content, dict) and key in content), None)
        if not isinstance(inner, dict):
            break
        content = inner
    if isinstance(content, dict) and content and all(isinstance(value, dict) for value in content.values()):
        # One state dict for each module of a model, as CROMA's authors save them.
        content = {f"{part}.{name}": value for part, inner in content.items() for name, value in inner.items()}
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(f"{path}: holds no state dict of tensors; save one, or .safetensors")
    if any(value.layout is not torch.strided or value.is_quantized or value.is_meta for value in content.values()):
        raise UserError(f"{path}: holds sparse, quantised or empty tensors; save plain ones, or .safetensors")
    claimed = sum(value.numel() * value.element_size() for value in content.values())
    if claimed > SHARED * max(path.stat().st_size, 1):
        raise UserError(
            f"{path}: claims {claimed:,} bytes of tensors, far more than the file holds; save them contiguous"
        )
    return {str(name): value for name, value in content.items()}


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def first_line(error: Exception) -> str:
    """What an exception says, in one line that is not too long."""
    text = str(error).strip() or type(error).__name__
    text = f"{type(error).__name__} {text}" if isinstance(error, KeyError) else text
    return text.splitlines()[0].rstrip(".")[:160]
