"""Tables of labelled images: one row an image, its files looked for; every mistake names its row."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deo_bench.errors import UserError, nearest, shown, unknown

Kind = Literal["single", "multi", "regression", "segmentation", "change"]

COLUMNS = ("file", "label", "split", "group", "mask", "later")
"""What the columns are for. Of these names unless the option `columns` says others; group is none without a column."""

ROLES = {
    "fit": ("train", "training", "fit", "0"),
    "select": ("val", "valid", "validation", "dev", "select", "1"),
    "report": ("test", "testing", "report", "2"),
}
"""Role -> what a split may be called, in any case; images of no split (empty, or `none`) are left out."""

_ROLE_OF = {name: role for role, names in ROLES.items() for name in names}


@dataclass(frozen=True)
class Row:
    """One image: where its row is, its files, its role, its group or none, and the texts of its label."""

    where: str
    file: Path
    later: Path | None
    mask: Path | None
    role: str
    group: str | None
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The rows that are in a role, what their labels are, and the columns of zeros and ones that a list named."""

    path: Path
    kind: Kind
    rows: tuple[Row, ...]
    indicators: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Every file that is named, those of the labels too."""
        return [path for row in self.rows for path in (row.file, row.later, row.mask) if path is not None]


def read_table(path: Path, folder: Path, columns: Mapping[str, Any], kind: Kind | None) -> Table:
    """The table of a CSV file with a header; files are looked for in `folder`.

    columns: use (of COLUMNS) -> the column's name, or for `label` a list of columns of zeros and ones. Without a kind:
    `later` makes it change detection, `mask` segmentation, a list of label columns or a `;` in a label multi-label,
    and labels that are all numbers and not all whole a regression. Files that are missing or in two splits, splits
    that are empty or unknown, and rows of another length than the header are a UserError.
    """
    header, records = _records(path)
    named, labels = _named(path, header, columns)
    indicators = isinstance(columns.get("label"), list)
    kind = kind or _kind(named, indicators, records, labels)
    if indicators and kind != "multi":
        raise UserError(f"columns.label: is a list, which is for multi-label; the kind is {kind!r}")
    needed = ["file", "split", *{"segmentation": ["mask"], "change": ["later", "mask"]}.get(kind, ["label"])]
    lacking = [use for use in needed if use not in named and not (use == "label" and labels)]
    if lacking:
        hint = f'; {", ".join(header)} are there: say columns = {{ {lacking[0]} = "…" }}'
        raise UserError(f"{path}: has no column {', '.join(map(repr, lacking))}{hint}")
    uses: dict[str, str] = {use: name for use, name in named.items() if use in COLUMNS}
    if kind not in ("segmentation", "change"):
        uses.pop("mask", None)
    if kind != "change":
        uses.pop("later", None)
    rows = [row for where, record in records if (row := _row(where, record, uses, labels, folder)) is not None]
    _check_splits(path, rows)
    return Table(path, kind, tuple(rows), tuple(labels) if indicators else ())


def read_cells(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The cells of each row that is not empty, with where it stands, counted as spreadsheets do."""
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for number, cells in enumerate(csv.reader(stream, strict=True), 1):
                if any(cell.strip() for cell in cells):
                    yield f"{path}, row {number}", [cell.strip() for cell in cells]
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        told = "it is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UserError(f"{path}: after row {number}: not a CSV file: {told}") from None


def _records(path: Path) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """The header, and each row by column with where it stands."""
    rows = read_cells(path)
    header = next(rows, ("", []))[1]
    if len(set(header)) != len(header) or not header:
        raise UserError(f"{path}: its first row has to name the columns, each once; it is {shown(header)}")
    records: list[tuple[str, dict[str, str]]] = []
    for where, cells in rows:
        if len(cells) != len(header):
            raise UserError(f"{where}: has {len(cells)} values for {len(header)} columns")
        records.append((where, dict(zip(header, cells, strict=True))))
    if not records:
        raise UserError(f"{path}: has no rows")
    return header, records


def _named(path: Path, header: Sequence[str], columns: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """The column of each use that has one, and the columns of the label."""
    wrong = [use for use in columns if use not in COLUMNS]
    if wrong:
        raise unknown("column", wrong[0], COLUMNS, "columns")
    named = {use: use for use in COLUMNS if use in header}
    for use, given in columns.items():
        for name in given if isinstance(given, list) else [given]:
            if name not in header:
                raise UserError(f"{path}: columns.{use}: has no column {shown(name)}{nearest(str(name), header)}")
        if isinstance(given, list) and (use != "label" or not given):
            raise UserError(f"columns.{use}: expected the name of one column, got {shown(given)}")
        named[use] = given
    label: Any = named.pop("label", [])
    labels = label if isinstance(label, list) else [label]
    if len(set(labels)) != len(labels):
        raise UserError(f"columns.label: names a column twice: {shown(labels)}")
    return {use: name for use, name in named.items() if name}, labels


def _kind(
    named: Mapping[str, str], indicators: bool, records: Sequence[tuple[str, Mapping[str, str]]], labels: Sequence[str]
) -> Kind:
    if "later" in named or "mask" in named:
        return "change" if "later" in named else "segmentation"
    split = named.get("split", "")
    records = [each for each in records if not split or each[1][split].strip().lower() not in ("", "none")]
    values = [record[labels[0]] for _, record in records] if labels else []
    if indicators or any(";" in value for value in values):
        return "multi"
    odd = next((value for value in values if number(value) is not None and whole(value) is None), None)
    if odd is None:
        return "single"
    for where, record in records:
        if number(text := record[labels[0]]) is None:
            told = f"label {shown(text)} is no finite number, and {odd!r} elsewhere is"
            raise UserError(f'{where}: {told}; mend it, or say kind = "single" where labels are names')
    if all(float(value).is_integer() for value in values):
        where = next(where for where, record in records if record[labels[0]] == odd)
        told = f"label {odd!r} is a whole number, and no number of a class is written so"
        raise UserError(f'{where}: {told}; say kind = "single" or kind = "regression"')
    return "regression"


def number(text: str) -> float | None:
    """A finite number, or none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def whole(text: str) -> int | None:
    """The number of a class, or none: digits alone, and not too many."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _row(
    where: str, record: Mapping[str, str], uses: Mapping[str, str], labels: Sequence[str], folder: Path
) -> Row | None:
    split = record[uses["split"]].lower()
    if split in ("", "none"):
        return None
    if split not in _ROLE_OF:
        names = ", ".join(names[0] for names in ROLES.values())
        raise UserError(f"{where}: unknown split {shown(record[uses['split']])}; there are: {names}, none")
    found = {use: _file(where, use, record[uses[use]], folder) for use in ("file", "later", "mask") if use in uses}
    return Row(
        where=where,
        file=found["file"],
        later=found.get("later"),
        mask=found.get("mask"),
        role=_ROLE_OF[split],
        group=record[uses["group"]] if "group" in uses else None,
        labels=tuple(record[name] for name in labels),
    )


def _file(where: str, use: str, text: str, folder: Path) -> Path:
    try:
        path = folder / text
        if text and path.is_file():
            return Path(os.path.realpath(path))
    except (OSError, ValueError):
        pass  # no file has such a name
    raise UserError(f"{where}: {use} {shown(text)} is no file in {folder}" if text else f"{where}: {use} is empty")


def _check_splits(path: Path, rows: Sequence[Row]) -> None:
    """Each role has images, no image stands in two rows, and none is in two splits under whatever date."""
    empty = [ROLES[role][0] for role in ROLES if not any(row.role == role for row in rows)]
    if empty:
        raise UserError(f"{path}: no row has split {' or '.join(empty)}; a task needs train, val and test")
    pairs: dict[tuple[Path, Path | None], Row] = {}
    images: dict[Path, Row] = {}
    for row in rows:
        for image in filter(None, (row.file, row.later)):
            first = images.setdefault(image, row)
            if first.role != row.role:
                raise UserError(f"{row.where}: {image.name} is in split {row.role}, in {_short(first)} in {first.role}")
        if (first := pairs.setdefault((row.file, row.later), row)) is not row:
            raise UserError(f"{row.where}: {row.file.name} is already in {_short(first)}")


def _short(row: Row) -> str:
    return row.where.rpartition(", ")[2]
