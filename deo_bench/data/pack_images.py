"""Images on their way into a pack: looked at, digested and written block by block, in one pass over their source."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from deo_bench.bands import band_set
from deo_bench.data.arrays import refuse_not_finite
from deo_bench.data.pack_checks import Moments
from deo_bench.errors import CannotWrite, UserError


@dataclass(frozen=True)
class Dated:
    """The same ground at two dates, [C, H, W] each, of one shape and type."""

    image: np.ndarray
    later: np.ndarray


Sample = np.ndarray | tuple[np.ndarray, np.ndarray]
"""An image [C, H, W], or the pair of it and the finer RGB [3, s * H, s * W] of the same ground."""

FINE_BANDS = band_set("rgb")
"""The bands of every finer image, in this order."""

KINDS = "iuf"
"""The kinds of numbers that images are made of."""

_BLOCK = 1 << 22


def write_images(
    building: Path,
    name: str,
    samples: Iterable[Sample | Dated],
    count: int,
    bands: Sequence[str],
    unit: str,
    fit: np.ndarray,
    copy: bool = True,
) -> dict[str, Any]:
    """Write images.bin, and fine.bin or later.bin where the samples are pairs; what pack.json says of them.

    Without copy they are looked at and digested alike, and no file is written.
    """
    moments, in_fit = Moments(len(bands)), np.zeros(count, dtype=bool)
    in_fit[fit] = True
    with ExitStack() as streams:

        def written(file: str, what: str, of: tuple[str, ...], *given: Any) -> _Written:
            stream = streams.enter_context((building / file).open("wb")) if copy else None
            return _Written(stream, f"{name}: {what}", count, of, unit, *given)

        images = written("images.bin", "image", tuple(bands), moments, in_fit)
        second: _Written | None = None
        kind = ""
        for number, sample in enumerate(samples):
            image, other, sort = _taken_apart(sample)
            if not number:
                kind = sort
                if kind:
                    second = written(f"{kind}.bin", *_SECOND[kind](tuple(bands)))
                _check_space(building, copy * count * (image.nbytes + (0 if other is None else other.nbytes)))
            if number == count:
                raise UserError(f"{name}: more than the {count} images that were announced")
            if sort != kind:
                has = f"has {_WORDS[sort]}" if sort else f"has no {_WORDS[kind].removeprefix('a ')}"
                raise UserError(f"{name}: image {number} {has}, unlike the first; all have one, or none has")
            images.add(image)
            if second is not None and other is not None:
                _check_second(kind, other, images, f"{name}: {_WORDS[kind].removeprefix('a ')} {number}")
                second.add(other)
        if images.done != count or not count:
            raise UserError(f"{name}: {images.done} images, {count} were announced")
        described = {**images.finish(), "mean": moments.mean.tolist(), "std": moments.std.tolist()}
        return described if second is None else {**described, kind: second.finish()}


_WORDS = {"fine": "a finer image", "later": "a later image"}
_SECOND: dict[str, Callable[[tuple[str, ...]], tuple[str, tuple[str, ...]]]] = {
    "fine": lambda bands: ("finer image", FINE_BANDS),
    "later": lambda bands: ("later image", bands),
}
"""What stands beside an image: what it is called, and its bands."""


def _taken_apart(sample: Sample | Dated) -> tuple[np.ndarray, np.ndarray | None, str]:
    """The image, what stands beside it, and what that is: `fine`, `later` or nothing."""
    if isinstance(sample, Dated):
        return sample.image, sample.later, "later"
    return (*sample, "fine") if isinstance(sample, tuple) else (sample, None, "")


def _check_second(kind: str, other: np.ndarray, images: _Written, where: str) -> None:
    if kind == "fine":
        check_finer(other.shape[1:], images.shape[1:], where)
    elif other.shape != images.shape or other.dtype.newbyteorder("<") != images.dtype:
        told = f"{other.shape} of {other.dtype}, its image {images.shape} of {images.dtype}"
        raise UserError(f"{where} is {told}; both dates must be alike")


def check_finer(fine: Sequence[int], size: Sequence[int], where: str) -> int:
    """How many times finer a picture of height and width `fine` is than one of `size`; a broken factor is an error."""
    factor = int(fine[0]) // int(size[0]) if len(fine) == 2 else 0
    if factor < 2 or list(fine) != [factor * length for length in size]:
        raise UserError(
            f"{where} is {tuple(fine)} pixels; beside {tuple(size)} it must be 2, 3, 4 … times as high and as wide"
        )
    return factor


@dataclass
class _Written:
    """An array [count, C, H, W] that is digested and, into a stream, written, in little-endian blocks."""

    stream: IO[bytes] | None
    what: str
    count: int
    bands: tuple[str, ...]
    unit: str
    moments: Moments | None = None
    in_fit: np.ndarray | None = None
    done: int = 0
    shape: tuple[int, ...] = ()
    dtype: np.dtype = field(default_factory=lambda: np.dtype("u1"))

    def __post_init__(self) -> None:
        self.digest, self.gathered = hashlib.sha256(), list[np.ndarray]()

    def add(self, image: np.ndarray) -> None:
        """Take in the next image [C, H, W]; all have the first one's shape and type."""
        channels, dtype = len(self.bands), image.dtype.newbyteorder("<")
        if image.ndim != 3 or len(image) != channels or image.dtype.kind not in KINDS or not image.size:
            raise UserError(
                f"{self.what} {self.done} is {image.shape} of {image.dtype}, expected [{channels}, H, W] of numbers"
            )
        if not self.done:
            self.shape, self.dtype = image.shape, dtype
            header = [self.count, self.shape, dtype.str, self.bands, self.unit]
            self.digest.update(json.dumps(header).encode())
        if image.shape != self.shape or dtype != self.dtype:
            raise UserError(
                f"{self.what} {self.done} is {image.shape} of {dtype}, the first {self.shape} of {self.dtype}"
            )
        self.gathered.append(image)
        self.done += 1
        if image.nbytes * len(self.gathered) >= _BLOCK:
            self._flush()

    def finish(self) -> dict[str, Any]:
        """Write what is left, down to the disk; what pack.json says of the array."""
        self._flush()
        if self.stream is not None:
            self.stream.flush()
            os.fsync(self.stream.fileno())
        return {"shape": [self.done, *self.shape], "dtype": self.dtype.str, "pixels": self.digest.hexdigest()}

    def _flush(self) -> None:
        if not self.gathered:
            return
        block = np.ascontiguousarray(np.stack(self.gathered), dtype=self.dtype)
        first = self.done - len(block)
        refuse_not_finite(block, f"{self.what}s {first} to {self.done - 1}")
        if self.moments is not None and self.in_fit is not None:
            chosen = self.in_fit[first : self.done]
            if chosen.any():
                self.moments.add(block if chosen.all() else block[chosen])
        self.digest.update(block.data)
        if self.stream is not None:
            self.stream.write(block.data)
        self.gathered = []


def _check_space(building: Path, needed: int) -> None:
    free = shutil.disk_usage(building).free
    if needed > free:
        raise CannotWrite(
            f"{building.parent}: a pack needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB left"
        )
