"""Images on their way into a pack: looked at, digested and written block by block, in one pass over their source."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from deo_bench.bands import band_set
from deo_bench.data.arrays import refuse_not_finite
from deo_bench.data.pack_checks import Moments
from deo_bench.errors import CannotWrite, UserError

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
    samples: Iterable[Sample],
    count: int,
    bands: Sequence[str],
    unit: str,
    fit: np.ndarray,
    copy: bool = True,
) -> dict[str, Any]:
    """Write images.bin, and fine.bin where the samples are pairs; what pack.json says of them.

    Without copy they are looked at and digested alike, and no file is written.
    """
    moments, in_fit = Moments(len(bands)), np.zeros(count, dtype=bool)
    in_fit[fit] = True
    with ExitStack() as streams:

        def opened(file: str) -> IO[bytes] | None:
            return streams.enter_context((building / file).open("wb")) if copy else None

        coarse = _Written(opened("images.bin"), f"{name}: image", count, tuple(bands), unit, moments, in_fit)
        fine: _Written | None = None
        for number, sample in enumerate(samples):
            image, finer = sample if isinstance(sample, tuple) else (sample, None)
            if not number:
                if finer is not None:
                    fine = _Written(opened("fine.bin"), f"{name}: finer image", count, FINE_BANDS, unit)
                _check_space(building, copy * count * (image.nbytes + (0 if finer is None else finer.nbytes)))
            if number == count:
                raise UserError(f"{name}: more than the {count} images that were announced")
            coarse.add(image)
            if fine is not None and finer is not None:
                check_finer(finer.shape[1:], image.shape[1:], f"{name}: finer image {number}")
                fine.add(finer)
            elif fine is not None or finer is not None:
                has = "has no finer image" if finer is None else "has a finer image"
                raise UserError(f"{name}: image {number} {has}, unlike the first; all have one, or none has")
        if coarse.done != count or not count:
            raise UserError(f"{name}: {coarse.done} images, {count} were announced")
        described = {**coarse.finish(), "mean": moments.mean.tolist(), "std": moments.std.tolist()}
        return described if fine is None else {**described, "fine": fine.finish()}


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
