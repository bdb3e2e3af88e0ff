"""Packed `.npz` files (images, labels, split, bands) without objects, read image by image and never trusted."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deo_bench.bands import Unit, canonical, check_unit, select
from deo_bench.data import Data, Pack, Places, data
from deo_bench.data.arrays import read_header, refuse_not_finite, size_of
from deo_bench.data.join import common_bands, count_squares, squares
from deo_bench.data.pack import input_key, pack_once, write_pack
from deo_bench.declarations import Count
from deo_bench.errors import UserError, nearest

READER = 1
"""Bumped when the same file would be packed to other content."""

NO_SPLIT = 255
"""A split of 255 is none: such an image is in no role of a task, and may be trained on."""

LARGEST_IMAGE = 1 << 30
LARGEST_LABELS = 1 << 32
"""Bytes of one image, and of all labels together: both are in memory at once."""

_RATIO = 1100
_LARGEST_TEXT = 1 << 20
_ROLES = {
    "fit": (0, "train", "fit"),
    "select": (1, "val", "valid", "validation", "select"),
    "report": (2, "test", "report"),
}


@dataclass(frozen=True)
class NpzFile:
    """What a `.npz` says of itself; the images stay in the file."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    bands: tuple[str, ...]
    unit: Unit
    arrays: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    ignore: int | None

    @property
    def splits(self) -> dict[str, np.ndarray]:
        """Role -> rows with a label; empty without an array `split`."""
        split = self.arrays.get("split")
        if split is None:
            return {}
        labels = self.arrays.get("labels")
        known = np.ones(len(split), dtype=bool)
        if labels is not None and labels.ndim == 1 and self.ignore is not None:
            known = labels != self.ignore
        return {role: np.flatnonzero(np.isin(split, names) & known) for role, names in _named(split)}

    @property
    def trainable(self) -> np.ndarray:
        """Rows that may be trained on: of the train split or of none."""
        split = self.arrays.get("split")
        if split is None:
            return np.arange(self.shape[0])
        free = np.isin(split, (NO_SPLIT,) if split.dtype.kind in "iu" else ("", "none", str(NO_SPLIT)))
        return np.flatnonzero(free | np.isin(split, dict(_named(split))["fit"]))

    def images(self) -> Iterator[np.ndarray]:
        """The images [C, H, W] one by one; memory for one at a time."""
        where = f"{self.path}, array 'images'"
        with _opened(self.path) as archive, _member(archive, "images", self.path) as stream:
            shape, dtype, fortran = read_header(stream, where)
            if fortran:
                raise UserError(f"{where}: is stored column by column; save np.ascontiguousarray(images)")
            if (shape, dtype) != (self.shape, self.dtype):
                raise UserError(f"{where}: changed while it was read")
            size = size_of(shape[1:], dtype)
            for row in range(shape[0]):
                raw = _read(stream, size, f"{where}, image {row}")
                image = np.frombuffer(raw, dtype=dtype).reshape(shape[1:])
                refuse_not_finite(image, f"{where}, image {row}")
                yield image


def read_npz(path: Path, *, unit: str | None = None, groups: str = "", ignore: int | None = None) -> NpzFile:
    """The description and small arrays of a file; the images are not read yet.

    unit, groups (the name of an array of ids) and ignore are the file's own arrays `unit`, `groups` and `ignore` where
    they are not given. Objects, claims that the bytes do not bear out, unknown bands and a missing unit are a
    UserError.
    """
    with _opened(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        for needed in ("images", "bands"):
            if needed not in names:
                raise UserError(f"{path}: has no array {needed!r}{nearest(needed, names)}")
        shape, dtype = _claims(archive, "images", path)
        if len(shape) != 4 or dtype.kind not in "iuf" or min(shape) < 1:
            raise UserError(f"{path}: images are {dtype} of {shape}, expected numbers [N, C, H, W]")
        if size_of(shape[1:], dtype) > LARGEST_IMAGE:
            raise UserError(f"{path}: one image of {shape[1:]} is more than {LARGEST_IMAGE} bytes; cut it into patches")
        if groups and groups not in names:
            raise UserError(f"{path}: groups = {groups!r} names no array{nearest(groups, names)}")
        wanted = {"labels": "labels", "split": "split", "groups": groups or "groups"}
        arrays = {key: _array(archive, name, path, shape) for key, name in wanted.items() if name in names}
        texts = {key: _texts(archive, key, path) for key in ("bands", "classes", "unit", "ignore") if key in names}
    bands = tuple(_canonical(label, path) for label in texts["bands"])
    if len(bands) != shape[1] or len(set(bands)) != len(bands):
        raise UserError(f"{path}: {shape[1]} bands of images, but the names {', '.join(bands)}")
    own_unit = texts["unit"][0] if texts.get("unit") else None
    return NpzFile(
        path=path,
        shape=shape,
        dtype=dtype,
        bands=bands,
        unit=check_unit(unit or own_unit, str(path)),
        arrays={key: array for key, array in arrays.items() if _checked_rows(key, array, shape, path)},
        classes=tuple(texts.get("classes", ())),
        ignore=ignore if ignore is not None else _whole(texts.get("ignore"), path),
    )


def pack_npz(
    places: Places,
    relative: str,
    *,
    name: str = "",
    unit: str | None = None,
    groups: str = "",
    ignore: int | None = None,
) -> Pack:
    """A labelled file as a pack with the roles of its array `split`; a file without labels or a role is an error."""
    path = places.find(relative, f"npz file {relative!r}")
    options = {"name": name, "unit": unit, "groups": groups, "ignore": ignore, "as": "task"}

    def build(folder: Path) -> Pack:
        file = read_npz(path, unit=unit, groups=groups, ignore=ignore)
        splits = file.splits
        empty = [role for role in _ROLES if not len(splits.get(role, ()))]
        if "labels" not in file.arrays or empty:
            lack = (
                "array 'labels'" if "labels" not in file.arrays else f"images to {' or '.join(empty)} (array 'split')"
            )
            raise UserError(
                f"{path}: has no {lack}; a task needs labels and train (0), validation (1), test (2) images"
            )
        return write_pack(
            folder,
            name=name or path.stem,
            images=file.images(),
            count=file.shape[0],
            bands=file.bands,
            unit=file.unit,
            labels=file.arrays["labels"],
            classes=_classes(file),
            splits=splits,
            groups=file.arrays.get("groups"),
            ignore=file.ignore,
        )

    return pack_once(places, input_key(name or path.stem, [path], options, READER), build)


@data("npz")
class NpzImages(Data):
    """Images of `.npz` files (arrays `images` [N, C, H, W], `bands`) to pre-train on: their train splits.

    A file without an array `split` gives all its images.
    paths: files, under the root of data or absolute; of several, the bands that all have. unit: what the pixels are in,
    where the files do not say. patch: cut images into whole squares of so many pixels.
    """

    version = 1

    def __init__(self, *, paths: list[str], unit: str | None = None, patch: Count | None = None) -> None:
        if not paths:
            raise UserError('data npz: paths is empty; say paths = ["images.npz"], for example')
        self.paths, self.unit, self.patch = paths, unit, patch

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The files."""
        return tuple(places.find(path, f"npz file {path!r}") for path in self.paths)

    def pack(self, places: Places) -> Pack:
        """The images that may be trained on, in the order of the paths."""
        paths = [places.find(path, f"npz file {path!r}") for path in self.paths]
        name = "+".join(path.stem for path in paths)
        options = {"unit": self.unit, "patch": self.patch, "as": "images"}
        return pack_once(
            places, input_key(name, paths, options, READER), lambda folder: self._build(folder, name, paths)
        )

    def _build(self, folder: Path, name: str, paths: Sequence[Path]) -> Pack:
        files = [read_npz(path, unit=self.unit) for path in paths]
        for file in files[1:]:
            if file.unit != files[0].unit:
                raise UserError(f"{file.path} is in {file.unit}, {paths[0]} in {files[0].unit}; join what is alike")
            if self.patch is None and file.shape[2:] != files[0].shape[2:]:
                sizes = f"{file.shape[2:]} and {files[0].shape[2:]}"
                raise UserError(f"{file.path} and {paths[0]} have images of {sizes}; say patch = a size to cut them to")
        bands = common_bands([(str(file.path), file.bands) for file in files])
        count = sum(len(file.trainable) * count_squares(file.shape[2:], self.patch, str(file.path)) for file in files)
        return write_pack(
            folder,
            name=name,
            images=_trainable_images(files, bands, self.patch),
            count=count,
            bands=bands,
            unit=files[0].unit,
            splits={"fit": np.arange(count)},
        )


def _trainable_images(files: Sequence[NpzFile], bands: Sequence[str], patch: int | None) -> Iterator[np.ndarray]:
    dtype = np.result_type(*(file.dtype for file in files))
    for file in files:
        places, rows = select(file.bands, bands, str(file.path)), set(file.trainable.tolist())
        for row, image in enumerate(file.images()):
            if row in rows:
                yield from squares(image[places].astype(dtype, copy=False), patch)


def _classes(file: NpzFile) -> tuple[str, ...]:
    """The file's own names, or numbers up to the largest label."""
    labels = file.arrays["labels"]
    if file.classes:
        return file.classes
    if labels.ndim == 2:
        return tuple(str(number) for number in range(labels.shape[1]))
    used = labels[labels != file.ignore] if file.ignore is not None else labels
    return tuple(str(number) for number in range(int(used.max(initial=0)) + 1))


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise UserError(f"{path}: truncated, or no .npz file: {' '.join(str(error).split())[:120]}") from None


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> Any:
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


def _claims(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type that an array's header claims, compared with the size of what follows it."""
    with _member(archive, name, path) as stream:
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


def _array(archive: zipfile.ZipFile, name: str, path: Path, images: tuple[int, ...]) -> np.ndarray:
    """A whole array; its claim is held against what it could be at most beside the images."""
    shape, dtype = _claims(archive, name, path)
    where = f"{path}, array {name!r}"
    most = min(LARGEST_LABELS, 8 * images[0] * max(images[2] * images[3], 1000))
    if size_of(shape, dtype) > max(_LARGEST_TEXT, most):
        raise UserError(f"{where}: {dtype} of {shape} is too large beside images of {images}")
    with _member(archive, name, path) as stream:
        _, _, fortran = _header(stream, where)
        raw = _read(stream, size_of(shape, dtype), where)
        _read(stream, 0, where)
    flat = np.frombuffer(raw, dtype=dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _read(stream: Any, size: int, where: str) -> bytes:
    """So many bytes; the last read of a member checks its sum."""
    try:
        raw = stream.read(size)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise UserError(f"{where}: damaged: {' '.join(str(error).split())[:120]}") from None
    if len(raw) != size:
        raise UserError(f"{where}: ends after {len(raw)} of {size} bytes")
    return bytes(raw)


def _texts(archive: zipfile.ZipFile, name: str, path: Path) -> list[str]:
    """A short array of names (or one name) as text."""
    array = _array(archive, name, path, (1, 1, 1, 1))
    if array.ndim > 1 or array.dtype.kind not in "USiu":
        raise UserError(f"{path}, array {name!r}: {array.dtype} of {array.shape}, expected names")
    values = np.atleast_1d(array).tolist()
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def _canonical(label: str, path: Path) -> str:
    try:
        return canonical(label)
    except UserError as error:
        raise UserError(f"{path}, array 'bands': {error}") from None


def _whole(texts: Sequence[str] | None, path: Path) -> int | None:
    if not texts:
        return None
    try:
        return int(texts[0])
    except ValueError:
        raise UserError(f"{path}, array 'ignore': {texts[0]!r} is no whole number") from None


def _named(split: np.ndarray) -> list[tuple[str, list[Any]]]:
    kind = int if split.dtype.kind in "iu" else str
    return [(role, [name for name in names if isinstance(name, kind)]) for role, names in _ROLES.items()]


def _checked_rows(key: str, array: np.ndarray, images: tuple[int, ...], path: Path) -> bool:
    """Whether an array has one entry an image; a split with other values than its roles is an error."""
    if array.ndim == 0 or len(array) != images[0]:
        raise UserError(f"{path}, array {key!r}: {array.shape}, expected one entry for each of {images[0]} images")
    if key == "split":
        known = [name for names in _ROLES.values() for name in names] + [NO_SPLIT, "", "none", str(NO_SPLIT)]
        wrong = [value for value in np.unique(array).tolist() if value not in known]
        if array.ndim != 1 or array.dtype.kind not in "iuU" or wrong:
            raise UserError(
                f"{path}, array 'split': {wrong[:3]} of {array.dtype}; expected 0, 1, 2 for train, validation, test"
            )
    return True
