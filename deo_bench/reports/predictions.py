"""What was said of every test image, read from the file beside a score."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from math import prod
from pathlib import Path

import numpy as np

from deo_bench.errors import StoreError, shown

_KINDS = {"truth": "biuf", "predicted": "biu", "scores": "fiu", "groups": "iu"}
_DIMENSIONS = {"truth": (1, 2), "predicted": (1,), "scores": (2, 3), "groups": (1,)}
_SHOWN = {"shown": 3, "shown_images": 1, "shown_truth": 3}
"""Of maps of classes: a few that were predicted, of which images of the report split, and what is true of them."""
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error)
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_END = struct.Struct("<4s4H2LH")
"""The end of an archive: signature, disks and counts, size and start of its directory, length of a comment."""
_ENTRY = struct.Struct("<4s4x2H4x3L3H8xL")
"""Of a directory: signature, flags, compression, checksum, sizes, lengths of name, extra and comment, start."""
_LOCAL = struct.Struct("<4s22x2H")
"""Before a member: signature, lengths of name and extra."""
_ARRAY = b"\x93NUMPY\x01\x00"


@dataclass(frozen=True)
class Predictions:
    """What was said of every test image: truth [N] or [N, K], scores [N, K], predicted [N], groups [N].

    Of maps of classes truth holds pixels of each class [N, K], scores confusion matrices [N, K, K], and a few maps are
    there to be looked at: shown [M, H, W] as predicted, shown_truth [M, H, W], shown_images [M] (places in the report
    split). The arrays may be read-only.
    """

    truth: np.ndarray
    scores: np.ndarray
    predicted: np.ndarray | None
    groups: np.ndarray | None
    shown: np.ndarray | None = None
    shown_truth: np.ndarray | None = None
    shown_images: np.ndarray | None = None


def read_predictions(path: Path | str) -> Predictions:
    """The predictions beside a score; a StoreError where they are missing, torn or of another kind."""
    try:
        content = _content(path)
        found = _as_we_write(content)
        if found is None:
            with np.load(BytesIO(content), allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise StoreError("its predictions are missing") from None
    except (OSError, ValueError, TypeError, LookupError, EOFError, RuntimeError, OverflowError, MemoryError, *_BROKEN):
        raise StoreError("its predictions are torn or foreign") from None
    shown_maps = {name: found.pop(name) for name in _SHOWN if name in found}
    if any(array.dtype.kind not in "iu" or array.ndim != _SHOWN[name] for name, array in shown_maps.items()):
        raise StoreError("its predictions are of another kind: the maps that it shows are no maps of classes")
    if not found.keys() <= _KINDS.keys():
        unknown = sorted(found.keys() - _KINDS)
        raise StoreError(f"its predictions hold what is not known here: {', '.join(map(shown, unknown))}")
    if not {"truth", "scores"} <= found.keys() or len({array.shape[:1] for array in found.values()}) != 1:
        raise StoreError("its predictions lack truth or scores, or their lengths differ")
    if not len(found["truth"]):
        raise StoreError("its predictions are empty")
    if any(
        array.dtype.kind not in _KINDS[name] or array.ndim not in _DIMENSIONS[name] for name, array in found.items()
    ):
        raise StoreError("its predictions are of another kind: labels are whole numbers, scores a number a class")
    _check_shapes(found["truth"], found["scores"])
    return Predictions(found["truth"], found["scores"], found.get("predicted"), found.get("groups"), **shown_maps)


def _check_shapes(truth: np.ndarray, scores: np.ndarray) -> None:
    if truth.dtype.kind == "f" and (truth.ndim > 1 or scores.shape[1:] != (1,)):
        raise StoreError("its predictions are of another kind: labels are whole numbers, or numbers one an image")
    if scores.ndim == 3 and truth.shape != scores.shape[:2]:
        raise StoreError("its predictions are of another kind: confusion matrices do not fit the classes")


def _content(path: Path | str) -> bytes:
    descriptor = os.open(path, _READ)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        return stream.read() or b""


def _as_we_write(content: bytes) -> dict[str, np.ndarray] | None:
    """The arrays of an archive without compression, every checksum looked at; none for any other, which numpy reads.

    Four times as fast as `zipfile`, which a report of many thousands of scores would mostly wait for.
    """
    found = {}
    try:
        for name, member in _members(content):
            found[name] = _array(member)
    except (ValueError, TypeError, *_BROKEN):
        return None
    return found


def _members(content: bytes) -> Iterator[tuple[str, memoryview]]:
    """Names without their ending, and bytes; a ValueError where it is anything but plain."""
    _plain(len(content) >= _END.size)
    signature, _, _, _, count, size, start, comment = _END.unpack_from(content, len(content) - _END.size)
    _plain(signature == b"PK\x05\x06" and not comment and start + size == len(content) - _END.size)
    view, at = memoryview(content), start
    for _ in range(count):
        signature, flags, packing, total, packed, length, name, extra, comment, begin = _ENTRY.unpack_from(content, at)
        title = content[at + _ENTRY.size : at + _ENTRY.size + name]
        _plain(signature == b"PK\x01\x02" and not flags and not packing and packed == length and title[-4:] == b".npy")
        mark, own, between = _LOCAL.unpack_from(content, begin)
        here = begin + _LOCAL.size
        _plain(mark == b"PK\x03\x04" and content[here : here + own] == title)
        member = view[here + own + between : here + own + between + length]
        _plain(len(member) == length and zlib.crc32(member) == total)
        yield title[:-4].decode("ascii"), member
        at += _ENTRY.size + name + extra + comment
    _plain(at == len(content) - _END.size)


def _array(member: memoryview) -> np.ndarray:
    begin = len(_ARRAY) + 2
    _plain(member[: len(_ARRAY)] == _ARRAY)
    begin += int.from_bytes(member[len(_ARRAY) : begin], "little")
    shape, dtype = _header(bytes(member[:begin]))
    _plain(dtype.itemsize * prod(shape) == len(member) - begin)
    return np.frombuffer(member[begin:], dtype).reshape(shape)


@lru_cache(maxsize=256)
def _header(content: bytes) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type that an array's header states; the headers of a report's scores are few."""
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(BytesIO(content[len(_ARRAY) :]))
    _plain(not is_fortran and not dtype.hasobject)
    return shape, dtype


def _plain(is_so: bool) -> None:
    if not is_so:
        raise ValueError
