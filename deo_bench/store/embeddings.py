"""Embeddings on disk: arrays kept under what defines them, bounded in size, checked before they are used.

An entry is an `.npy` file with its own description behind the array (what defines it, sha256 of its bytes), so numpy
maps it as it is. Everything here can be deleted at any time: it is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np

from deo_bench.data.arrays import read_header, size_of
from deo_bench.errors import UserError
from deo_bench.files import cannot_write
from deo_bench.recipe import digest
from deo_bench.store.disk import read_size

LIMIT = "DEO_BENCH_CACHE_SIZE"
"""The environment variable that bounds the embeddings (`20GB`); without it they may take `USUAL`."""
USUAL = 100_000_000_000

EXPORT = "export"
"""How the weights of an exported student begin: they are those of its run, too."""

_MARK = b"deobench"
_END = struct.Struct("<Q8s")
_BLOCK = 1 << 24
_DAY = 86_400.0
_AROUND = 1024
"""More bytes than stand around an array."""

_verified: set[tuple[str, int, int, int]] = set()


class SameEmbeddings(UserWarning):
    """Two settings that were thought to differ gave the same embeddings, byte for byte."""


@dataclass
class Embeddings:
    """The embeddings of a cache folder.

    limit: bytes that they may take together; the least recently used go first.
    """

    folder: Path
    limit: int = field(default_factory=lambda: read_size(os.environ[LIMIT], LIMIT) if os.environ.get(LIMIT) else USUAL)

    def find(self, told: Mapping[str, Any]) -> np.ndarray | None:
        """The array kept under what defines it, mapped read-only; none where there is none that is whole.

        One that is torn, or is of something else than its name says, is told by a warning and made again.
        """
        path = self._path(told)
        if not path.is_file():
            return None
        try:
            array, about = _mapped(path)
            if about["told"] != _plain(told):
                raise ValueError("it is of other weights or settings than its name says")
            _verify(path, about["sha256"])
        except (OSError, ValueError, KeyError, TypeError, UserError) as error:
            warnings.warn(f"{path}: not a whole embedding ({_reason(error)}); it is made again", stacklevel=2)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # by the time of writing: looking at what others say of themselves is no use of them
            _verified.add(_stamp(path))
        return array

    def keep(
        self,
        told: Sequence[Mapping[str, Any]],
        count: int,
        blocks: Iterable[Sequence[np.ndarray]],
        tell_same: bool = True,
    ) -> list[np.ndarray]:
        """Write arrays of `count` rows as their blocks come, several in one pass, and map them.

        blocks: of every array the next rows, `[b, …]` each. Whole or not at all: a disk that is full leaves nothing.
        An array beyond the limit serves this process alone. tell_same: warn where another setting gave the same.
        """
        with ExitStack() as stack:
            writing = [stack.enter_context(_Writing(self.folder, count)) for _ in told]
            for block in blocks:
                for one, rows in zip(writing, block, strict=True):
                    one.add(rows)
            found = []
            for one, of in zip(writing, told, strict=True):
                self._make_room(one.size)
                found.append(one.finish(self._path(of), _plain(of), one.size <= self.limit))
                if tell_same:
                    self._tell_same(self._path(of), of, one.digest.hexdigest())
        return found

    def _path(self, told: Mapping[str, Any]) -> Path:
        return self.folder / f"{digest(dict(told), 24)}.npy"

    def _make_room(self, needed: int) -> None:
        """Let the least recently used go until so many bytes more are within the limit.

        What killed processes left half-written goes after a day.
        """
        for left in self.folder.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _DAY:
                    left.unlink()
        kept = []
        for path in self.folder.glob("[!.]*.npy"):
            with contextlib.suppress(OSError):  # another process may be making room as well
                status = path.stat()
                kept.append((status.st_mtime_ns, path, status.st_size))
        total = sum(size for _, _, size in kept) + needed
        for _, path, size in sorted(kept) if needed <= self.limit else ():
            if total <= self.limit:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _tell_same(self, path: Path, told: Mapping[str, Any], sha256: str) -> None:
        """Warn of another entry with the same bytes: the switch between the two did nothing."""
        try:
            size = path.stat().st_size
        except OSError:
            return
        for other in self.folder.glob("[!.]*.npy"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if other == path or abs(other.stat().st_size - size) > _AROUND:
                    continue
                about = _about(other)
                differing = _differences(about["told"], _plain(told)) if about["sha256"] == sha256 else ""
                if differing:
                    line = f"two settings gave the same embeddings, byte for byte: {differing}"
                    warnings.warn(line, SameEmbeddings, stacklevel=3)
                    return


class _Writing:
    """One array on its way to the disk, under a temporary name until it is whole."""

    def __init__(self, folder: Path, count: int) -> None:
        self.path = folder / f".{uuid4().hex[:16]}.{os.getpid()}.tmp"
        self.count, self.rows, self.start, self.digest = count, 0, 0, hashlib.sha256()
        self.shape: tuple[int, ...] = ()
        self.dtype = np.dtype("f4")
        self.stream: IO[bytes] | None = None

    def __enter__(self) -> _Writing:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.stream = self.path.open("w+b")
        except OSError as error:
            raise cannot_write(self.path.parent, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        assert self.stream is not None
        with contextlib.suppress(OSError):  # on a full disk it tries to write the rest once more
            self.stream.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes of the file, or a little more."""
        return size_of((self.count, *self.shape), self.dtype) + _AROUND

    def add(self, rows: np.ndarray) -> None:
        """The next rows; all have the first ones' shape and type, and are finite."""
        assert self.stream is not None
        if not self.rows:
            self.shape, self.dtype = rows.shape[1:], rows.dtype
        if not np.isfinite(rows).all():
            row = self.rows + int((~np.isfinite(rows.reshape(len(rows), -1))).any(1).argmax())
            raise UserError(f"features of image {row} are not finite; the backbone diverged or its input is wrong")
        try:
            if not self.rows:
                header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.shape)}
                np.lib.format.write_array_header_1_0(self.stream, header)
                self.start = self.stream.tell()
            content = np.ascontiguousarray(rows)
            self.stream.write(content.data)
        except OSError as error:
            raise cannot_write(self.path.parent, error) from error
        self.digest.update(content.data)
        self.rows += len(rows)

    def finish(self, path: Path, told: Mapping[str, Any], is_kept: bool) -> np.ndarray:
        """Put the array in place and map it; one that is not kept has no name any more."""
        assert self.stream is not None and self.rows == self.count, f"{self.rows} rows of {self.count}"
        about = json.dumps({"told": told, "sha256": self.digest.hexdigest()}, sort_keys=True).encode()
        try:
            self.stream.write(about + _END.pack(len(about), _MARK))
            self.stream.flush()
            os.fsync(self.stream.fileno())
            shape = (self.count, *self.shape)
            array = np.memmap(self.stream, dtype=self.dtype, mode="r", offset=self.start, shape=shape)
            if is_kept:
                with contextlib.suppress(FileNotFoundError):  # the cache was deleted meanwhile: the array lives on here
                    os.replace(self.path, path)  # noqa: PTH105 (tests of kills patch this name)
                    _verified.add(_stamp(path))
        except OSError as error:
            raise cannot_write(path, error) from error
        return array


def _mapped(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    about = _about(path)
    with path.open("rb") as stream:
        shape, dtype, is_fortran = read_header(stream, str(path))
        start = stream.tell()
    length = size_of(shape, dtype)
    if is_fortran or path.stat().st_size != start + length + about.pop("length"):
        raise ValueError("its size is not what it claims")
    return np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape), about


def _about(path: Path) -> dict[str, Any]:
    """What an entry says of itself, behind its array."""
    with path.open("rb") as stream:
        stream.seek(-_END.size, os.SEEK_END)
        length, mark = _END.unpack(stream.read())
        if mark != _MARK or length > 1 << 16:
            raise ValueError("it ends too early")
        stream.seek(-_END.size - length, os.SEEK_END)
        about: dict[str, Any] = json.loads(stream.read(length))
    return about | {"length": length + _END.size}


def _verify(path: Path, sha256: str) -> None:
    """Hold the bytes against their digest, once a process and file."""
    stamp = _stamp(path)
    if stamp in _verified:
        return
    made = hashlib.sha256()
    with path.open("rb") as stream:
        shape, dtype, _ = read_header(stream, str(path))
        left = size_of(shape, dtype)
        while left and (block := stream.read(min(left, _BLOCK))):
            made.update(block)
            left -= len(block)
    if made.hexdigest() != sha256:
        raise ValueError("its bytes have changed")
    _verified.add(stamp)


def _stamp(path: Path) -> tuple[str, int, int, int]:
    status = path.stat()
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns


def _plain(told: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(told))


def _reason(error: Exception) -> str:
    return f"lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What two entries differ in, in words; nothing where that is no switch: the device, a
    map's place among those asked for, a copy of the weights.
    """
    keys = [key for key in sorted({*one, *other}) if one.get(key) != other.get(key) and key not in ("device", "map")]
    if keys == ["weights"] and any(str(each["weights"]).startswith(EXPORT) for each in (one, other)):
        return ""
    return "; ".join(f"{key} = {one.get(key)} and {other.get(key)}" for key in keys)
