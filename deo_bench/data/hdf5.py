"""Pre-training images of one HDF5 file in the layout of DEO: `images` [N, C, H, W], whose bands are said by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from deo_bench.bands import BAND_SETS, Unit, canonical, check_unit
from deo_bench.data import Data, Pack, Places, data
from deo_bench.data.arrays import not_finite
from deo_bench.data.hdf5_arrays import chunk_shape, opened_hdf5, plain_array, texts_of
from deo_bench.data.in_place import InPlace
from deo_bench.data.join import count_squares, squares
from deo_bench.data.pack import input_key, pack_once, write_pack
from deo_bench.data.pack_checks import skipped_note
from deo_bench.data.pack_images import Sample, check_finer
from deo_bench.declarations import Count
from deo_bench.draws import numpy_generator
from deo_bench.errors import UserError

READER = 1
"""Bumped when the same file would be packed to other content."""

LARGEST_BLOCK = 1 << 28
"""Bytes of images that are in memory at once; a chunk that reaches over more is unpacked more than once."""

_BLOCK = 1 << 24
FINE = "fine"


@dataclass(frozen=True)
class Hdf5File:
    """What a file says of itself: its images' key, shape and type, bands, unit, and the key of finer RGB or none."""

    path: Path
    key: str
    shape: tuple[int, ...]
    bands: tuple[str, ...]
    unit: Unit
    fine: str | None
    factor: int
    in_place: dict[str, InPlace] | None

    def images(self, rows: np.ndarray) -> Iterator[tuple[int, Sample | str]]:
        """Row number and image [C, H, W], or pair with the finer one, of sorted rows; or what is wrong with the row.

        The file is opened once, and read in blocks that end where its chunks do.
        """
        with opened_hdf5(self.path) as file:
            arrays = [h5py.Dataset(plain_array(file, key, self.path)) for key in filter(None, (self.key, self.fine))]
            size = _block_rows(arrays)
            for start in range(0, self.shape[0], size):
                wanted = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + size)]
                if len(wanted):
                    yield from _block(arrays, wanted)


def _block_rows(arrays: Sequence[h5py.Dataset]) -> int:
    """How many rows to read at once: whole chunks, within the memory there is for them."""
    image = sum(prod(array.shape[1:]) * array.dtype.itemsize for array in arrays)
    chunk, rows = chunk_shape(arrays[0].id)[0], max(1, _BLOCK // image)
    return max(chunk, rows // chunk * chunk) if chunk * image <= LARGEST_BLOCK else max(1, LARGEST_BLOCK // image)


def _block(arrays: Sequence[h5py.Dataset], wanted: np.ndarray) -> Iterator[tuple[int, Sample | str]]:
    first, last = int(wanted[0]), int(wanted[-1])
    try:
        read = [array[first : last + 1] for array in arrays]
    except OSError as error:
        if first == last:
            yield first, f"damaged: {' '.join(str(error).split())[:120]}"
        for row in wanted if first < last else ():
            yield from _block(arrays, np.array([row]))
        return
    for row in wanted:
        parts = [block[row - first] for block in read]
        wrong = next(filter(None, map(not_finite, parts)), "")
        yield int(row), wrong or (parts[0] if len(parts) == 1 else (parts[0], parts[1]))


def read_hdf5(
    path: Path, key: str = "images", *, bands: Sequence[str] = (), unit: str | None = None, fine: str | None = None
) -> Hdf5File:
    """The description of a file; no image is read yet.

    bands and unit are the attributes of the array, or of the file, where they are not given. Links, objects, arrays in
    other files, claims that the bytes do not bear out, and bands that are not said, do not fit or contradict the file's
    own are a UserError.
    """
    with opened_hdf5(path) as file:
        stored = _numbers(file, key, path)
        said = {name: texts_of(stored, name, path) or texts_of(file, name, path) for name in ("bands", "unit")}
        companion = fine or (FINE if fine is None and file.id.links.exists(FINE.encode()) else None)
        arrays, factor = {"images": stored}, 1
        if companion is not None:
            arrays["fine"] = finer = _numbers(file, companion, path)
            if finer.shape[:2] != (stored.shape[0], 3):
                raise UserError(
                    f"{path}, {companion!r}: is {finer.shape}; expected [{stored.shape[0]}, 3, sH, sW], RGB"
                )
            factor = check_finer(finer.shape[2:], stored.shape[2:], f"{path}, {companion!r}:")
        return Hdf5File(
            path=path,
            key=key,
            shape=stored.shape,
            bands=_bands(bands, said["bands"], stored.shape, f"{path}, {key!r}"),
            unit=check_unit(unit or next(iter(said["unit"]), None), str(path)),
            fine=companion,
            factor=factor,
            in_place=_in_place(arrays, path),
        )


def _numbers(file: h5py.File, key: str, path: Path) -> h5py.h5d.DatasetID:
    stored = plain_array(file, key, path)
    if len(stored.shape) != 4 or stored.dtype.kind not in "iuf" or stored.dtype.itemsize > 8:
        raise UserError(f"{path}, {key!r}: is {stored.dtype} of {stored.shape}, expected numbers [N, C, H, W]")
    image = prod(stored.shape[1:]) * stored.dtype.itemsize
    if image > LARGEST_BLOCK:
        raise UserError(f"{path}, {key!r}: one image is {image} bytes, at most {LARGEST_BLOCK} are read; cut it up")
    return stored


def _bands(given: Sequence[str], own: Sequence[str], shape: tuple[int, ...], where: str) -> tuple[str, ...]:
    """The bands in the order of the record, which somebody must have said; two who differ are an error."""
    if not given and not own:
        raise UserError(
            f'{where}: nothing says which band is which; say bands = ["s2_13"] (B01 to B12, B8A after B08), or their '
            "names in the file's order"
        )
    said, stored = _named(given, where), _named(own, f"{where}, attribute 'bands'")
    if said and stored and said != stored:
        raise UserError(f"{where}: you say bands {', '.join(said)}, the file says {', '.join(stored)}; correct one")
    names = said or stored
    if shape[1] != len(names) and shape[3] == len(names):
        raise UserError(f"{where}: {shape} is [N, H, W, C]; write it as [N, C, H, W] (numpy: moveaxis(images, 3, 1))")
    if shape[1] != len(names):
        raise UserError(f"{where}: has {shape[1]} bands a record, {len(names)} are named: {', '.join(names)}")
    return names


def _named(labels: Sequence[str], where: str) -> tuple[str, ...]:
    try:
        names = tuple(canonical(name) for label in labels for name in BAND_SETS.get(label, (label,)))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if len(set(names)) != len(names):
        raise UserError(f"{where}: a band is named twice: {', '.join(names)}")
    return names


def _in_place(arrays: dict[str, h5py.h5d.DatasetID], path: Path) -> dict[str, InPlace] | None:
    """Where the arrays lie in the file, should all of them lie there as a map needs them: whole, plain, little-endian.

    Only numbers that numpy has exactly are taken; HDF5 knows others, with fewer bits than bytes.
    """
    for stored in arrays.values():
        plain = stored.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
        little = stored.dtype == stored.dtype.newbyteorder("<")
        exact = stored.get_type().equal(h5py.h5t.py_create(stored.dtype))
        if not (plain and little and exact) or stored.get_offset() is None:
            return None
    return {which: InPlace.at(path, stored.get_offset()) for which, stored in arrays.items()}


@data("hdf5")
class Hdf5Images(Data):
    """Images of an HDF5 file as DEO reads it: an array `images` [N, C, H, W] of 13 Sentinel-2 bands, say.

    path: the file, under the root of data or absolute; key: its array. bands: the bands in the file's order, by name or
    as a set (`["s2_13"]`), needed unless an attribute `bands` says them; unit: what the pixels are in, likewise. count:
    train on so many of the images, chosen by seed alone; all without it. patch: cut images into whole squares of so
    many pixels. fine: the key of finer RGB images [N, 3, s * H, s * W] of the same ground (red, green, blue, in the
    same unit); left out, the array `fine` where there is one; `""`, none. unreadable: `skip` leaves out images that are
    damaged or not finite, and says how many.

    Images that are all wanted and lie plainly in the file (not in chunks, little-endian) are read where they are;
    others are packed into the cache once.
    """

    version = 1

    def __init__(
        self,
        *,
        path: str,
        key: str = "images",
        bands: list[str] | None = None,
        unit: str | None = None,
        count: Count | None = None,
        seed: int = 0,
        patch: Count | None = None,
        fine: str | None = None,
        unreadable: Literal["refuse", "skip"] = "refuse",
    ) -> None:
        self.path, self.key, self.bands, self.unit = path, key, bands or [], unit
        self.count, self.seed, self.patch, self.fine, self.unreadable = count, seed, patch, fine, unreadable

    @property
    def data_sets(self) -> tuple[str, ...]:
        """The file's name."""
        return (Path(self.path).stem,)

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The file."""
        return (places.find(self.path, f"HDF5 file {self.path!r}"),)

    def pack(self, places: Places) -> Pack:
        """The images that are chosen, in the file's order."""
        (path,) = self.inputs(places)
        options = {name: value for name, value in vars(self).items() if name != "path"}
        return pack_once(
            places, input_key(path.stem, [path], options, READER), lambda folder: self._build(folder, path)
        )

    def _build(self, folder: Path, path: Path) -> Pack:
        file = read_hdf5(path, self.key, bands=self.bands, unit=self.unit, fine=self.fine)
        rows, notes = self._rows(file)
        whole = self.patch is None and len(rows) == file.shape[0]
        count = len(rows) * count_squares(file.shape[2:], self.patch, str(path))
        return write_pack(
            folder,
            name=path.stem,
            images=_samples(file, rows, self.patch),
            count=count,
            bands=file.bands,
            unit=file.unit,
            splits={"fit": np.arange(count)},
            notes=notes,
            in_place=file.in_place if whole else None,
        )

    def _rows(self, file: Hdf5File) -> tuple[np.ndarray, list[str]]:
        """The rows to train on, ascending: the same in every process; and what is to be said of those left out."""
        total = file.shape[0]
        if self.count is not None and self.count > total:
            raise UserError(f"{file.path}: count = {self.count}, but {file.key!r} has {total} images")
        rows = np.arange(total)
        if self.count is not None and self.count < total:
            draws = numpy_generator("hdf5", self.seed)
            rows = np.sort(draws.choice(total, self.count, replace=False))
        if self.unreadable == "refuse":
            return rows, []
        wrong = {row: found for row, found in file.images(rows) if isinstance(found, str)}
        if len(wrong) == len(rows):
            row, reason = next(iter(wrong.items()))
            raise UserError(f"{file.path}: none of {len(rows)} images can be read; image {row}: {reason}")
        reasons = [f"image {row}: {reason}" for row, reason in wrong.items()]
        return np.setdiff1d(rows, list(wrong)), skipped_note(str(file.path), "images", reasons, len(rows))


def _samples(file: Hdf5File, rows: np.ndarray, patch: int | None) -> Iterator[Sample]:
    for row, found in file.images(rows):
        if isinstance(found, str):
            raise UserError(f'{file.path}, image {row}: {found}; unreadable = "skip" leaves such images out')
        if patch is None:
            yield found
        elif isinstance(found, tuple):
            yield from zip(squares(found[0], patch), squares(found[1], patch * file.factor), strict=True)
        else:
            yield from squares(found, patch)
