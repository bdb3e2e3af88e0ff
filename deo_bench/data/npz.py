"""Packed `.npz` files (images, labels, split, bands) without objects, read image by image and never trusted."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deo_bench.bands import Unit, canonical, check_unit, select
from deo_bench.data import Data, Pack, Places, data
from deo_bench.data.arrays import not_finite, read_header, size_of
from deo_bench.data.join import common_bands, count_squares, squares
from deo_bench.data.npz_members import claims, member, opened, read_exactly, whole_array
from deo_bench.data.pack import input_key, pack_once, write_pack
from deo_bench.data.pack_checks import skipped_note
from deo_bench.data.pack_images import Sample, check_finer
from deo_bench.declarations import Count
from deo_bench.errors import UserError, nearest

READER = 1
"""Bumped when the same file would be packed to other content."""

NO_SPLIT = 255
"""A split of 255 is none: such an image is in no role of a task, and may be trained on."""

LARGEST_IMAGE = 1 << 30
LARGEST_LABELS = 1 << 32
"""Bytes of one image, and of all labels together: both are in memory at once."""

_LARGEST_TEXT = 1 << 20
_ROLES = {
    "fit": (0, "train", "fit"),
    "select": (1, "val", "valid", "validation", "select"),
    "report": (2, "test", "report"),
}


@dataclass(frozen=True)
class NpzFile:
    """What a `.npz` says of itself; the images stay in the file.

    fine: the array of finer RGB, `factor` times finer, or none.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    bands: tuple[str, ...]
    unit: Unit
    arrays: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    ignore: int | None
    fine: str | None = None
    factor: int = 1

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

    def images(self) -> Iterator[tuple[Sample, str]]:
        """The images [C, H, W] one by one, or pairs with the finer ones, each with what is wrong with it or nothing.

        Memory for one at a time.
        """
        with opened(self.path) as archive, ExitStack() as streams:
            arrays = [self._stream(archive, name, streams) for name in filter(None, ("images", self.fine))]
            for row in range(self.shape[0]):
                where = f"{self.path}, image {row}"
                parts = [
                    np.frombuffer(read_exactly(stream, size_of(shape, dtype), where), dtype).reshape(shape)
                    for stream, shape, dtype in arrays
                ]
                yield parts[0] if len(parts) == 1 else (parts[0], parts[1]), "".join(map(not_finite, parts))

    def _stream(self, archive: zipfile.ZipFile, name: str, streams: ExitStack) -> tuple[Any, tuple[int, ...], np.dtype]:
        """An array's stream, behind its header; the shape and type of one image."""
        where = f"{self.path}, array {name!r}"
        stream = streams.enter_context(member(archive, name, self.path))
        shape, dtype, fortran = read_header(stream, where)
        if fortran:
            raise UserError(f"{where}: is stored column by column; save np.ascontiguousarray({name})")
        if shape[0] != self.shape[0] or (name == "images" and (shape, dtype) != (self.shape, self.dtype)):
            raise UserError(f"{where}: changed while it was read")
        return stream, shape[1:], dtype


def read_npz(
    path: Path, *, unit: str | None = None, groups: str = "", ignore: int | None = None, fine: str | None = ""
) -> NpzFile:
    """The description and small arrays of a file; the images are not read yet.

    unit, groups (the name of an array of ids) and ignore are the file's own arrays `unit`, `groups` and `ignore` where
    they are not given; fine is the name of an array of finer RGB, `""` none, and none given the array `fine` where
    there is one. Objects, claims that the bytes do not bear out, unknown bands and a missing unit are a UserError.
    """
    with opened(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        for needed in ("images", "bands"):
            if needed not in names:
                raise UserError(f"{path}: has no array {needed!r}{nearest(needed, names)}")
        shape, dtype = claims(archive, "images", path)
        if len(shape) != 4 or dtype.kind not in "iuf" or min(shape) < 1:
            raise UserError(f"{path}: images are {dtype} of {shape}, expected numbers [N, C, H, W]")
        if size_of(shape[1:], dtype) > LARGEST_IMAGE:
            raise UserError(f"{path}: one image of {shape[1:]} is more than {LARGEST_IMAGE} bytes; cut it into patches")
        if groups and groups not in names:
            raise UserError(f"{path}: groups = {groups!r} names no array{nearest(groups, names)}")
        wanted = {"labels": "labels", "split": "split", "groups": groups or "groups"}
        most = min(LARGEST_LABELS, 8 * shape[0] * max(shape[2] * shape[3], 1000))
        arrays = {
            key: whole_array(archive, name, path, max(_LARGEST_TEXT, most))
            for key, name in wanted.items()
            if name in names
        }
        companion = fine or ("fine" if fine is None and "fine" in names else None)
        factor = 1 if companion is None else _factor(archive, companion, path, shape)
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
        fine=companion,
        factor=factor,
    )


def _factor(archive: zipfile.ZipFile, name: str, path: Path, images: tuple[int, ...]) -> int:
    """How many times finer the images of another array are."""
    shape, dtype = claims(archive, name, path)
    if len(shape) != 4 or shape[:2] != (images[0], 3) or dtype.kind not in "iuf":
        raise UserError(f"{path}, array {name!r}: is {dtype} of {shape}; expected RGB [{images[0]}, 3, sH, sW]")
    if size_of(shape[1:], dtype) > LARGEST_IMAGE:
        raise UserError(f"{path}, array {name!r}: one image is more than {LARGEST_IMAGE} bytes; cut it into patches")
    return check_finer(shape[2:], images[2:], f"{path}, array {name!r}:")


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
            images=_refused(file),
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
    where the files do not say. patch: cut images into whole squares of so many pixels. fine: the array of finer RGB
    images [N, 3, s * H, s * W] of the same ground; left out, `fine` where every file has it. unreadable: `skip` leaves
    out files that are damaged and images that are not finite, and says how many.
    """

    version = 1
    images_are = "train split"

    def __init__(
        self,
        *,
        paths: list[str],
        unit: str | None = None,
        patch: Count | None = None,
        fine: str | None = None,
        unreadable: Literal["refuse", "skip"] = "refuse",
    ) -> None:
        if not paths:
            raise UserError('data npz: paths is empty; say paths = ["images.npz"], for example')
        self.paths, self.unit, self.patch, self.fine, self.unreadable = paths, unit, patch, fine, unreadable

    @property
    def data_sets(self) -> tuple[str, ...]:
        """The files' names."""
        return tuple(Path(path).stem for path in self.paths)

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The files."""
        return tuple(places.find(path, f"npz file {path!r}") for path in self.paths)

    def pack(self, places: Places) -> Pack:
        """The images that may be trained on, in the order of the paths."""
        paths = self.inputs(places)
        name = "+".join(path.stem for path in paths)
        options = {name: value for name, value in vars(self).items() if name != "paths"} | {"as": "images"}
        return pack_once(
            places, input_key(name, paths, options, READER), lambda folder: self._build(folder, name, paths)
        )

    def _build(self, folder: Path, name: str, paths: Sequence[Path]) -> Pack:
        sources, notes = self._sources(paths)
        files = [file for file, _ in sources]
        self._check_alike(files)
        bands = common_bands([(str(file.path), file.bands) for file in files])
        count = sum(len(rows) * count_squares(file.shape[2:], self.patch, str(file.path)) for file, rows in sources)
        return write_pack(
            folder,
            name=name,
            images=_trainable_images(sources, bands, self.patch),
            count=count,
            bands=bands,
            unit=files[0].unit,
            splits={"fit": np.arange(count)},
            notes=notes,
        )

    def _sources(self, paths: Sequence[Path]) -> tuple[list[tuple[NpzFile, np.ndarray]], list[str]]:
        """Each file and its rows to train on, and what is to be said of what was left out."""
        sources: list[tuple[NpzFile, np.ndarray]] = []
        lost: list[str] = []
        wrong: list[str] = []
        total = 0
        for path in paths:
            try:
                file = read_npz(path, unit=self.unit, fine=self.fine)
                rows = file.trainable
                if self.unreadable == "skip":
                    found = [reason for _, reason in file.images()]
                    wrong += [f"{path.name}, image {row}: {found[row]}" for row in rows if found[row]]
                    total, rows = total + len(rows), np.array([row for row in rows if not found[row]], dtype=np.int64)
                sources.append((file, rows))
            except UserError as error:
                if self.unreadable == "refuse":
                    raise
                lost.append(str(error))
        if not sum(len(rows) for _, rows in sources):
            raise UserError(
                f"{paths[0]}: no image is left to train on; the first reason: {(lost + wrong + ['none'])[0]}"
            )
        where = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        notes = skipped_note(where, "files", lost, len(paths)) + skipped_note(where, "images", wrong, total)
        return sources, notes

    def _check_alike(self, files: Sequence[NpzFile]) -> None:
        for file in files[1:]:
            if file.unit != files[0].unit:
                raise UserError(
                    f"{file.path} is in {file.unit}, {files[0].path} in {files[0].unit}; join what is alike"
                )
            if self.patch is None and file.shape[2:] != files[0].shape[2:]:
                sizes = f"{file.shape[2:]} and {files[0].shape[2:]}"
                raise UserError(
                    f"{file.path} and {files[0].path} have images of {sizes}; say patch = a size to cut them to"
                )


def _refused(file: NpzFile) -> Iterator[Sample]:
    """The images; one that is not finite is an error."""
    for row, (image, wrong) in enumerate(file.images()):
        if wrong:
            raise UserError(f"{file.path}, array 'images', image {row}: {wrong}; fill or drop them first")
        yield image


def _trainable_images(
    sources: Sequence[tuple[NpzFile, np.ndarray]], bands: Sequence[str], patch: int | None
) -> Iterator[Sample]:
    dtype = np.result_type(*(file.dtype for file, _ in sources))
    finer = {file.factor for file, _ in sources}
    for file, wanted in sources:
        places, rows = select(file.bands, bands, str(file.path)), set(wanted.tolist())
        for row, (found, wrong) in enumerate(file.images()):
            if row not in rows:
                continue
            if wrong:
                raise UserError(f'{file.path}, image {row}: {wrong}; fill or drop them, or say unreadable = "skip"')
            image, fine = found if isinstance(found, tuple) else (found, None)
            cut = squares(image[places].astype(dtype, copy=False), patch)
            if fine is None or len(finer) > 1:
                yield from cut
            else:
                yield from zip(cut, squares(fine, patch and patch * file.factor), strict=True)


def _classes(file: NpzFile) -> tuple[str, ...]:
    """The file's own names, or numbers up to the largest label; numbers to be predicted have none."""
    labels = file.arrays["labels"]
    if file.classes:
        return file.classes
    if labels.dtype.kind not in "iub":
        return ()  # floats are a regression; what is neither is refused as labels
    if labels.ndim == 2:
        return tuple(str(number) for number in range(labels.shape[1]))
    used = labels[labels != file.ignore] if file.ignore is not None else labels
    return tuple(str(number) for number in range(int(used.max(initial=0)) + 1))


def _texts(archive: zipfile.ZipFile, name: str, path: Path) -> list[str]:
    """A short array of names (or one name) as text."""
    array = whole_array(archive, name, path, _LARGEST_TEXT)
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
