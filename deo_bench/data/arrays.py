"""Reads arrays whose headers may lie: what a file claims to hold is compared with its size before memory is taken."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

from deo_bench.errors import StoreError, UserError

LARGEST_HEADER = 10_000
"""Bytes of text that a header may have; longer ones are not arrays but attempts."""

_MAGIC = b"\x93NUMPY"


def refuse_not_finite(pixels: np.ndarray, where: str) -> None:
    """An error that names `where`, should there be a NaN or an infinity among the pixels."""
    if wrong := not_finite(pixels):
        raise UserError(f"{where}: {wrong}; fill or drop them first")


def not_finite(pixels: np.ndarray) -> str:
    """How many pixels are NaN or infinite, in words; nothing where none is."""
    if pixels.dtype.kind != "f" or np.isfinite(pixels).all():
        return ""
    return f"{pixels.size - int(np.isfinite(pixels).sum())} of {pixels.size} pixels are NaN or infinite"


def read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, dtype and Fortran order that an `.npy` stream claims; objects and what is no `.npy` are refused.

    numpy's own reader of headers raises errors of many kinds on damaged ones, and reads what Python 2 wrote: this does
    neither.
    """
    try:
        claims = ast.literal_eval(_header_text(stream))
        described, fortran, shape = claims["descr"], claims["fortran_order"], claims["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, OSError, EOFError, RecursionError, MemoryError) as error:
        raise UserError(f"{where}: not a readable array: {_one_line(error)}") from None
    if not isinstance(described, str):
        raise UserError(f"{where}: holds records of several fields; save one plain array each")
    if described.lstrip("<>|=")[:1] == "O":
        raise UserError(f"{where}: holds Python objects, which are never loaded; save plain numbers or strings")
    if not re.fullmatch(r"[<>|=]?[biufcSU][1-9]\d{0,7}", described) or described.lstrip("<>|=") not in _known(
        described
    ):
        raise UserError(f"{where}: holds values of type {described[:20]!r}; save plain numbers or strings")
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise UserError(f"{where}: claims the impossible shape {str(shape)[:60]}")
    return shape, np.dtype(described), bool(fortran)


def _header_text(stream: IO[bytes]) -> str:
    """The text of a header, its length bounded."""
    begin = stream.read(len(_MAGIC) + 2)
    if begin[: len(_MAGIC)] != _MAGIC or begin[len(_MAGIC) :] not in (b"\x01\0", b"\x02\0", b"\x03\0"):
        raise ValueError("it does not begin as an .npy file does")
    width = 2 if begin[-2] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    text = stream.read(length) if length <= LARGEST_HEADER else b""
    if len(text) != length:
        raise ValueError("its header ends too early, or is too long")
    return text.decode("utf-8" if begin[-2] == 3 else "latin1").strip()


def _known(described: str) -> set[str]:
    """The type itself where numpy has it (`f3` it has not; text may have any length)."""
    kind, size = described.lstrip("<>|=")[0], described.lstrip("<>|=")[1:]
    sizes = {"b": "1", "i": "1248", "u": "1248", "f": "248", "c": "8"}
    return {f"{kind}{size}"} if kind in "SU" or size in set(sizes.get(kind, "")) else set()


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
