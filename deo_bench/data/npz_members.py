"""The arrays of `.npz` files by strangers: a size that is claimed is held against the bytes before memory is taken."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from deo_bench.data.arrays import read_header, size_of
from deo_bench.errors import UserError

_RATIO = 1100
"""No deflation makes more of a byte."""


def opened(path: Path) -> zipfile.ZipFile:
    """The archive; a file that is none, or ends too early, is a UserError."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise UserError(f"{path}: truncated, or no .npz file: {' '.join(str(error).split())[:120]}") from None


def member(archive: zipfile.ZipFile, name: str, path: Path) -> Any:
    """One array's stream; sizes that its compression could not give, and other compressions, are refused."""
    try:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(f"{path}, array {name!r}: a compression that numpy does not write; save it again")
        packed = info.compress_type == zipfile.ZIP_DEFLATED
        if info.file_size > info.compress_size * (_RATIO if packed else 1):
            raise UserError(f"{path}, array {name!r}: claims {info.file_size} bytes of {info.compress_size}; made up")
        return archive.open(info)
    except (zipfile.BadZipFile, OSError, KeyError, RuntimeError, NotImplementedError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}, array {name!r}: cannot be read: {' '.join(str(error).split())[:120]}") from None


def claims(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type that an array's header claims, compared with the size of what follows it."""
    with member(archive, name, path) as stream:
        shape, dtype, _ = _header(stream, f"{path}, array {name!r}")
        left = archive.getinfo(f"{name}.npy").file_size - stream.tell()
    if left != size_of(shape, dtype):
        raise UserError(
            f"{path}, array {name!r}: claims {size_of(shape, dtype)} bytes ({dtype} of {shape}), has {left}"
        )
    return shape, dtype


def _header(stream: Any, where: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    try:
        return read_header(stream, where)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{where}: damaged: {error}") from None


def whole_array(archive: zipfile.ZipFile, name: str, path: Path, most: int) -> np.ndarray:
    """A whole array; one of more than `most` bytes is refused."""
    shape, dtype = claims(archive, name, path)
    where = f"{path}, array {name!r}"
    if size_of(shape, dtype) > most:
        raise UserError(f"{where}: {dtype} of {shape} is too large here, more than {most} bytes")
    with member(archive, name, path) as stream:
        _, _, fortran = _header(stream, where)
        raw = read_exactly(stream, size_of(shape, dtype), where)
        read_exactly(stream, 0, where)
    flat = np.frombuffer(raw, dtype=dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def read_exactly(stream: Any, size: int, where: str) -> bytes:
    """So many bytes; the last read of a member checks its sum."""
    try:
        raw = stream.read(size)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise UserError(f"{where}: damaged: {' '.join(str(error).split())[:120]}") from None
    if len(raw) != size:
        raise UserError(f"{where}: ends after {len(raw)} of {size} bytes")
    return bytes(raw)
