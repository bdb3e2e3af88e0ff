"""Packs a user's own labelled images: what the rows of a table name, read one by one, as a task's images and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deo_bench.bands import BAND_SETS, canonical, check_unit, select
from deo_bench.data import Pack, Places
from deo_bench.data.image_files import PICTURES, Picture, read_image
from deo_bench.data.join import squares
from deo_bench.data.labelled_csv import ROLES, Kind, Row, Table, read_table, whole
from deo_bench.data.labelling import DENSE, read_labels
from deo_bench.data.pack import input_key, pack_once, write_pack
from deo_bench.data.pack_images import Dated
from deo_bench.errors import UserError

READER = 1
"""Bumped when the same files would be packed to other content."""


def find_table(places: Places, path: str, name: str, columns: Mapping[str, Any], kind: Kind | None) -> Table:
    """The table of a folder under the root of data; `name` is looked for in the folder, or absolute."""
    folder = places.find(path, f"folder {path!r}")
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; say path = the folder of the images, csv = the table")
    return read_table(
        places.find(str(folder.absolute() / name), f"the table of folder {path!r}"), folder, columns, kind
    )


def pack_labelled(
    places: Places,
    table: Table,
    *,
    name: str,
    bands: Sequence[str] = (),
    unit: str | None = None,
    classes: Sequence[str] = (),
    ignore: int | None = None,
    patch: int | None = None,
) -> Pack:
    """The images of a table as a pack with its splits as roles.

    classes: names in the order of their numbers, or as labels may be called; without them names in alphabetical order,
    or numbers up to the largest. patch: cut images and label maps into whole squares, those of one image a group.
    """
    if patch is not None and table.kind not in DENSE:
        raise UserError(f"{table.path}: patch cuts label maps; labels here are of the kind {table.kind!r}")
    options = {
        "name": name,
        "kind": table.kind,
        "rows": [[str(row.file), row.role, row.group, row.labels] for row in table.rows],
        "bands": list(bands),
        "unit": unit,
        "classes": list(classes),
        "ignore": ignore,
        "patch": patch,
    }
    key = input_key(name, [table.path, *table.files], options, READER)

    def build(target: Path) -> Pack:
        found, rows = read_labels(table, classes, ignore, patch), table.rows
        counts = found.counts or (1,) * len(rows)
        images = _Images(table, _band_names(bands), patch, found.sizes)
        roles = np.repeat([row.role for row in rows], counts)
        groups = np.repeat(_groups(rows), counts)
        return write_pack(
            target,
            name=name,
            images=images,
            count=sum(counts),
            bands=images.bands,
            unit=check_unit(unit or _unit_of(table, images.first), str(table.path)),
            labels=found.labels,
            classes=found.classes,
            splits={role: np.flatnonzero(roles == role) for role in ROLES},
            groups=groups if patch is not None or rows[0].group is not None else None,
            ignore=ignore,
            notes=images.notes,
        )

    return pack_once(places, key, build)


def _groups(rows: Sequence[Row]) -> list[int] | list[str]:
    """The ids of a column of groups, as numbers where all are; without one every row is its own."""
    ids = [str(place) if row.group is None else row.group for place, row in enumerate(rows)]
    numbers = [found for text in ids if (found := whole(text)) is not None]
    return numbers if len(numbers) == len(ids) else ids


def _band_names(bands: Sequence[str]) -> tuple[str, ...]:
    """Canonical names of an option in which a band set's name stands for its bands."""
    return tuple(canonical(label) for given in bands for label in BAND_SETS.get(given, (given,)))


def _unit_of(table: Table, first: np.ndarray) -> str | None:
    """PNG and JPEG of 8 bits are `uint8`; what the pixels of other files are in they do not say."""
    pictures = all(row.file.suffix.lower() in PICTURES for row in table.rows)
    return "uint8" if pictures and first.dtype == np.uint8 else None


class _Images:
    """The images of the rows, or pairs of dates, with the bands and type of the first, and of the size of the labels.

    sizes: height and width of each row's map of labels; without them all images have the first one's.
    """

    def __init__(
        self, table: Table, bands: tuple[str, ...], patch: int | None, sizes: Sequence[tuple[int, ...]]
    ) -> None:
        self.rows, self.given, self.patch = table.rows, bands, patch
        first = _read(table.rows[0], table.rows[0].file, bands)
        self.first, self.bands = first.pixels, first.bands
        self.where, self.notes, self.lacking = table.path, list[str](), list[str]()
        self.sizes = sizes or [self.first.shape[1:]] * len(table.rows)
        self.size_of = "its map of labels" if sizes else "the first image"

    def __iter__(self) -> Iterator[np.ndarray | Dated]:
        for row, size in zip(self.rows, self.sizes, strict=True):
            now = squares(self._alike(row, row.file, size), self.patch)
            if row.later is None:
                yield from now
            else:
                yield from map(Dated, now, squares(self._alike(row, row.later, size), self.patch))
        if self.lacking:
            told = f"{len(self.lacking)} images have missing pixels, which became 0; the first: {self.lacking[0]}"
            self.notes.append(f"{self.where}: {told}")

    def _alike(self, row: Row, path: Path, size: tuple[int, ...]) -> np.ndarray:
        found = _read(row, path, self.given)
        if found.missing:
            self.lacking.append(f"{path.name}, {found.missing}")
        try:
            pixels = found.pixels[select(found.bands, self.bands, path.name)]
        except UserError as error:
            raise UserError(f"{row.where}: {error}") from None
        if pixels.dtype != self.first.dtype:
            raise UserError(f"{row.where}: {path.name} is {pixels.dtype}, the first image {self.first.dtype}")
        if pixels.shape[1:] != size:
            raise UserError(f"{row.where}: {path.name} is {pixels.shape[1:]} px, {self.size_of} {size}")
        return pixels


def _read(row: Row, path: Path, bands: tuple[str, ...]) -> Picture:
    try:
        return read_image(path, bands)
    except UserError as error:
        raise UserError(f"{row.where}: {error}") from None
