"""The labels of a table's rows as a pack holds them: numbers of classes, sets of them, real numbers, or maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deo_bench.data.image_files import read_label_map
from deo_bench.data.join import count_squares, squares
from deo_bench.data.labelled_csv import Row, Table, number, whole
from deo_bench.errors import UserError, nearest, shown

LARGEST_CLASS = 254
"""The largest number of a class that is taken for one without a list of classes: 255 usually means none."""

DENSE = ("segmentation", "change")
"""Kinds of labels that are maps."""


@dataclass(frozen=True)
class Labelling:
    """Labels as write_pack takes them, and the names of their classes.

    Of maps also how many squares each row's was cut into, and its height and width.
    """

    labels: np.ndarray
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    sizes: tuple[tuple[int, ...], ...] = ()


def read_labels(table: Table, classes: Sequence[str], ignore: int | None, patch: int | None) -> Labelling:
    """The labels of the rows, in their order; one that is none is a UserError that names the row.

    classes, ignore and patch are as in `pack_labelled`. Maps of change that know 0 and 255 alone have 1 for 255.
    """
    if table.kind in DENSE:
        return _maps(table, classes, ignore, patch)
    if table.kind == "regression":
        return Labelling(np.array([_number(row) for row in table.rows], dtype=np.float64))
    if table.kind == "multi":
        return _indicators(table) if table.indicators else _sets(table, classes)
    texts = [row.labels[0] for row in table.rows]
    for row in table.rows:
        if not row.labels[0]:
            raise UserError(f"{row.where}: its label is empty; leave its split empty where it has none")
    numbers = [whole(text) for text in texts]
    if not classes and None not in numbers:
        return Labelling(np.array(numbers), _numbered(table, [found or 0 for found in numbers]))
    names = tuple(classes) or tuple(sorted(set(texts)))
    return Labelling(np.array([_class(row, row.labels[0], names) for row in table.rows]), names)


def _numbered(table: Table, numbers: Sequence[int]) -> tuple[str, ...]:
    """The names of classes that are numbers; one far beyond what there are labels of is a mistake."""
    largest, different = max(numbers), len(set(numbers))
    if largest > LARGEST_CLASS and largest >= 4 * different:
        where = table.rows[numbers.index(largest)].where
        told = f"label {largest}, where {different} labels differ, is no number of a class"
        raise UserError(f'{where}: {told}; for numbers to be predicted say kind = "regression"')
    return tuple(map(str, range(largest + 1)))


def _class(row: Row, text: str, names: Sequence[str]) -> int:
    """A class by its name, or by its number where that is no name."""
    if text in names:
        return names.index(text)
    found = whole(text)
    if found is not None and found < len(names):
        return found
    raise UserError(f"{row.where}: unknown label {shown(text)}{nearest(text, names)}")


def _number(row: Row) -> float:
    value = number(row.labels[0])
    if value is None:
        raise UserError(f"{row.where}: label {shown(row.labels[0])} is no finite number")
    return value


def _indicators(table: Table) -> Labelling:
    """[N, K] from K columns of zeros and ones."""
    for row in table.rows:
        for column, text in zip(table.indicators, row.labels, strict=True):
            if text not in ("0", "1"):
                raise UserError(f"{row.where}: {column} is {shown(text)}, expected 0 or 1")
    return Labelling(np.array([[text == "1" for text in row.labels] for row in table.rows], np.uint8), table.indicators)


def _sets(table: Table, classes: Sequence[str]) -> Labelling:
    """[N, K] from one column of names with `;` between; an empty one is an image with none of them."""
    texts = [[text.strip() for text in row.labels[0].split(";") if text.strip()] for row in table.rows]
    names = tuple(classes) or tuple(sorted({text for named in texts for text in named}))
    if not names:
        raise UserError(f"{table.path}: no row has a label")
    labels = np.zeros((len(texts), len(names)), dtype=np.uint8)
    for place, (row, named) in enumerate(zip(table.rows, texts, strict=True)):
        for text in named:
            labels[place, _class(row, text, names)] = 1
    return Labelling(labels, names)


def _maps(table: Table, classes: Sequence[str], ignore: int | None, patch: int | None) -> Labelling:
    dtype = np.dtype(np.uint8) if ignore is None or 0 <= ignore <= 255 else np.dtype(np.int32)
    known = len(classes) or (2 if table.kind == "change" else LARGEST_CLASS + 1)
    pieces: list[np.ndarray] = []
    counts, sizes = list[int](), list[tuple[int, ...]]()
    for row in table.rows:
        try:
            found = _map(row, known, ignore, may_be_white=table.kind == "change")
            counts.append(count_squares(found.shape, patch, _name(row)))
        except UserError as error:
            raise UserError(f"{row.where}: {error}") from None
        sizes.append(found.shape)
        if patch is None and found.shape != sizes[0]:
            raise UserError(f"{row.where}: {_name(row)} is {found.shape} px, the first {sizes[0]}; say patch = …")
        pieces += [piece.astype(dtype) for piece in squares(found, patch)]
    labels = np.stack(pieces)
    used = labels[labels != ignore] if ignore is not None else labels
    names = ["no change", "change"] if table.kind == "change" else map(str, range(int(used.max(initial=0)) + 1))
    return Labelling(labels, tuple(classes) or tuple(names), tuple(counts), tuple(sizes))


def _map(row: Row, known: int, ignore: int | None, may_be_white: bool) -> np.ndarray:
    found = read_label_map(row.mask or row.file)
    values = set(np.unique(found).tolist())
    if may_be_white and ignore != 255 and 255 in values and values <= {0, 255, ignore}:
        found, values = np.where(found == 255, 1, found), (values - {255}) | {1}
    wrong = sorted(value for value in values if value != ignore and not 0 <= value < known)
    if wrong:
        told = f"{_name(row)} has pixels of {wrong[-1]}, which is none of the classes 0 to {known - 1}"
        raise UserError(f"{told}; say ignore = {wrong[-1]} where it means none")
    return found


def _name(row: Row) -> str:
    return (row.mask or row.file).name
