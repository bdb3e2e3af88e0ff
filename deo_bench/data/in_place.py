"""Arrays that stay in the file they came in: mapped where they lie, as long as that file is the one that was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from deo_bench.errors import StoreError


@dataclass(frozen=True)
class InPlace:
    """Where an array begins in a file, and what the file was when it was digested: bytes, and nanoseconds of its time.

    The file is left alone while runs read it: what changes under a map is not noticed before it is mapped again.
    """

    path: str
    offset: int
    size: int
    changed: int

    @classmethod
    def at(cls, path: Path, offset: int) -> InPlace:
        """A place in the file as it is now."""
        status = path.stat()
        return cls(str(path.resolve()), offset, status.st_size, status.st_mtime_ns)

    @classmethod
    def read(cls, described: Mapping[str, Any]) -> InPlace:
        """From what pack.json says of it."""
        offset, size, changed = (int(described[key]) for key in ("offset", "size", "changed"))
        return cls(str(described["path"]), offset, size, changed)

    def described(self) -> dict[str, Any]:
        """As pack.json says it."""
        return asdict(self)

    def check(self) -> None:
        """The file must be the one that was digested, by its size and time; another is a StoreError."""
        try:
            status = Path(self.path).stat()
        except OSError as error:
            raise StoreError(f"{self.path}: its images were read in place: {error.strerror}") from None
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed):
            raise StoreError(f"{self.path}: changed since its images were digested")

    def mapped(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """The array, read-only; one that reaches beyond its file is a StoreError."""
        self.check()
        if self.offset < 0 or self.offset + prod(shape) * dtype.itemsize > self.size:
            raise StoreError(f"{self.path}: {shape} of {dtype} reach beyond its {self.size} bytes")
        return np.memmap(self.path, dtype=dtype, mode="r", offset=self.offset, shape=shape)
