"""Reads arrays whose headers may lie: what a file claims to hold is compared with its size before memory is taken."""

from __future__ import annotations

import math
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
from numpy.lib import format as npy

from deo_bench.errors import StoreError, UserError

LARGEST_HEADER = 10_000
"""Bytes of text that a header may have; longer ones are not arrays but attempts."""


def refuse_not_finite(pixels: np.ndarray, where: str) -> None:
    """An error that names `where`, should there be a NaN or an infinity among the pixels."""
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = int(pixels.size - np.isfinite(pixels).sum())
        raise UserError(f"{where}: {bad} of {pixels.size} pixels are NaN or infinite; fill or drop them first")


def read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, dtype and Fortran order that an `.npy` stream claims; objects and what is no `.npy` are refused."""
    try:
        version = npy.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(stream, max_header_size=LARGEST_HEADER)
        elif version == (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(stream, max_header_size=LARGEST_HEADER)
        else:
            raise ValueError(f"version {version[0]}.{version[1]} of the format is not read")
    except (ValueError, EOFError, OSError, RecursionError, MemoryError, SyntaxError, TypeError) as error:
        raise UserError(f"{where}: not a readable array: {_one_line(error)}") from None
    if dtype.hasobject:
        raise UserError(f"{where}: holds Python objects, which are never loaded; save plain numbers or strings")
    if dtype.names is not None or dtype.subdtype is not None:
        raise UserError(f"{where}: holds records of several fields; save one plain array each")
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise UserError(f"{where}: claims the impossible shape {shape}")
    return shape, dtype, fortran


def size_of(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes that an array of this shape takes, without overflow."""
    return math.prod(shape) * dtype.itemsize


def read_npy(path: Path) -> np.ndarray:
    """An array of a pack's `.npy` file, its size compared with the claim first; a torn one is a StoreError."""

    def torn(reason: str) -> NoReturn:
        raise StoreError(f"{path}: torn or not ours: {reason}; delete the folder and it is made again")

    try:
        with path.open("rb") as stream:
            shape, dtype, fortran = read_header(stream, str(path))
            left = path.stat().st_size - stream.tell()
            if left != size_of(shape, dtype):
                torn(f"{left} bytes for {shape} of {dtype}")
            data = stream.read()
    except StoreError:
        raise
    except (OSError, UserError) as error:
        torn(_one_line(error))
    flat = np.frombuffer(data, dtype=dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
