"""Maps of features on disk: what a subject sees in a few images, as three numbers a cell, beside the images."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deo_bench.data.npz_members import opened, whole_array
from deo_bench.errors import StoreError, UserError
from deo_bench.files import write_arrays

COMPONENTS = 3
_ARRAYS = {
    "maps": ("f", 4),
    "pictures": ("u", 4),
    "explained": ("f", 1),
    "images": ("i", 1),
    "level": ("U", 1),
    "shown": ("U", 1),
    "view": ("U", 1),
    "reason": ("U", 1),
}
"""Each array's kind of values and number of axes."""
_LARGEST = 1 << 28


@dataclass(frozen=True)
class FeatureMaps:
    """The first three principal components of one level's maps, fitted to the cells of all N images together.

    maps: [N, H, W, 3], float32, components that there are not are zero; pictures: [N, h, w, 3], uint8, of the same
    images; explained: [3], the share of the cells' variance that is each component's; images: [N], places in the
    task's data; level: of the backbone; shown: the bands that a picture's red, green and blue are; view: the
    protocol's size and normalisation, in words; reason: why there are no maps (then N is 0), or nothing.
    """

    maps: np.ndarray
    pictures: np.ndarray
    explained: np.ndarray
    images: np.ndarray
    level: str
    shown: str
    view: str
    reason: str = ""

    @classmethod
    def none(cls, level: str, reason: str) -> FeatureMaps:
        """That there are none, and why: kept as well, so that nobody looks again."""
        empty = np.zeros((0, 1, 1, COMPONENTS))
        numbers = (np.zeros(COMPONENTS), np.zeros(0, dtype=np.int64))
        return cls(empty.astype(np.float32), empty.astype(np.uint8), *numbers, level, "", "", reason)


def write_maps(path: Path, made: FeatureMaps) -> None:
    """Whole or not at all; the same maps give the same bytes."""
    write_arrays(path, {name: np.asarray(getattr(made, name)) for name in _ARRAYS})


def has_maps(path: Path) -> bool:
    """Whether a file of maps is there and was not cut; its bytes are looked at by `read_maps`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist()) == {f"{name}.npy" for name in _ARRAYS}
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def read_maps(path: Path) -> FeatureMaps:
    """Maps as written; a StoreError where they are missing, torn or something else. Nothing in the file is executed."""
    if not path.is_file():
        raise StoreError("is not there")
    try:
        with opened(path) as archive:
            found = {name: whole_array(archive, name, path, _LARGEST) for name in _ARRAYS}
    except (UserError, MemoryError):
        raise StoreError("torn or foreign; delete it, and the command that made it makes it again") from None
    if wrong := _wrong(found):
        raise StoreError(f"no maps of features: {wrong}")
    texts = {name: str(found[name][0]) for name, (kind, _) in _ARRAYS.items() if kind == "U"}
    return FeatureMaps(found["maps"], found["pictures"], found["explained"], found["images"], **texts)


def _wrong(found: dict[str, np.ndarray]) -> str:
    """What of the arrays' kinds, shapes or values is not as it should be, or nothing."""
    for name, (kind, axes) in _ARRAYS.items():
        if found[name].dtype.kind != kind or found[name].ndim != axes:
            return f"{name} is {found[name].dtype} of {found[name].shape}"
        if kind == "U" and found[name].shape != (1,):
            return f"{name} is {len(found[name])} texts"
    maps, pictures = found["maps"], found["pictures"]
    if (maps.shape[-1], pictures.shape[-1], *found["explained"].shape) != (COMPONENTS,) * 3:
        return "not three components and three colours"
    if pictures.dtype != np.uint8 or len({len(maps), len(pictures), len(found["images"])}) != 1:
        return "maps, pictures and images do not belong together"
    if not found["reason"][0] and (not maps.size or not pictures.size):
        return "they are empty, and it does not say why"
    return "" if np.isfinite(maps).all() and np.isfinite(found["explained"]).all() else "they are not finite"
