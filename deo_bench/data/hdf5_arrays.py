"""Arrays of HDF5 files by strangers: what they claim is held against what they store before memory is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import h5py
import numpy as np

from deo_bench.errors import UserError

LARGEST_CHUNK = 1 << 28
"""Bytes of one chunk: a chunk is unpacked whole, whatever little of it is asked for."""

_RATIO = 1100
"""No compression of HDF5's own makes more of a byte."""

_LARGEST_TEXT = 1 << 16


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """A file to read; whatever h5py finds wrong with it, then or later, is a UserError that names it."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise UserError(f"{path}: truncated, or not an HDF5 file: {_one_line(error)}") from None
    except (KeyError, RuntimeError, TypeError) as error:
        raise UserError(f"{path}: damaged: {_one_line(error)}") from None


def plain_array(file: h5py.File, key: str, path: Path) -> h5py.h5d.DatasetID:
    """An array of the file itself, not read yet.

    Links, groups, arrays kept in other files, objects, and claims that what is stored cannot bear out are a UserError.
    """
    name = key.encode()
    if not file.id.links.exists(name) or file.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise UserError(f"{path}: {key!r} is missing, or a link to elsewhere")
    if h5py.h5o.get_info(file.id, name).type != h5py.h5o.TYPE_DATASET:
        raise UserError(f"{path}: {key!r} is no array")
    stored = h5py.h5d.open(file.id, name)
    layout = stored.get_create_plist()
    claimed, real = prod(stored.shape) * stored.dtype.itemsize, stored.get_storage_size()
    outside = layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count()
    if outside or stored.dtype.kind not in "iufb" or claimed == 0:
        raise UserError(f"{path}: {key!r} holds {stored.dtype} of {stored.shape} or points outside its file; refused")
    if claimed > real * (_RATIO if layout.get_nfilters() else 1):
        raise UserError(f"{path}: {key!r} claims {claimed} bytes and stores {real}; truncated or made up")
    chunk = prod(chunk_shape(stored)) * stored.dtype.itemsize
    if chunk > LARGEST_CHUNK:
        raise UserError(f"{path}: {key!r} has chunks of {chunk} bytes; at most {LARGEST_CHUNK} are read")
    return stored


def chunk_shape(stored: h5py.h5d.DatasetID) -> tuple[int, ...]:
    """The chunks of an array; those of one that has none are single numbers."""
    layout = stored.get_create_plist()
    chunked = layout.get_layout() == h5py.h5d.CHUNKED
    return tuple(layout.get_chunk()) if chunked else (1,) * len(stored.shape)


def texts_of(stored: h5py.h5d.DatasetID | h5py.File, name: str, path: Path) -> list[str]:
    """An attribute of one text (parted by commas) or several; empty where there is none."""
    holder = h5py.h5g.open(stored.id, b"/") if isinstance(stored, h5py.File) else stored
    if not h5py.h5a.exists(holder, name.encode()):
        return []
    attribute = h5py.h5a.open(holder, name.encode())
    if attribute.dtype.kind not in "OSU" or attribute.get_storage_size() > _LARGEST_TEXT:
        raise UserError(f"{path}: attribute {name!r} is {attribute.dtype} of {attribute.shape}, expected text")
    owner = stored if isinstance(stored, h5py.File) else h5py.Dataset(stored)
    values = np.atleast_1d(np.asarray(owner.attrs[name], dtype=object)).ravel().tolist()
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    if not all(isinstance(text, str) for text in texts):
        raise UserError(f"{path}: attribute {name!r} holds something else than text")
    parted = texts[0].split(",") if len(texts) == 1 else texts
    return [text.strip() for text in parted if text.strip()]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
