"""Reads somebody else's CSV with suspicion: whole rows, known columns, finite shares; else one line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deo_bench.errors import UserError, shown

LARGEST = 64 << 20
"""Bytes of a results file; the largest that is known has two million."""


@dataclass(frozen=True)
class Row:
    """One row: column -> text; `line` is where it ends in the file."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def text(self, name: str) -> str:
        """A cell that has to hold something printable."""
        found = self.cells[name].strip()
        if not found or not found.isprintable():
            raise self.wrong(name, "a text")
        return found

    def share(self, name: str) -> float:
        """A number from 0 to 1."""
        found = self._number(name)
        if found is None or not 0 <= found <= 1:
            raise self.wrong(name, "a share from 0 to 1")
        return found

    def whole(self, name: str) -> int | None:
        """An integer of at least 0, or none where the cell is empty."""
        found = self._number(name)
        if found is None and not self.cells[name].strip():
            return None
        if found is None or found < 0 or found != math.floor(found) or found > 2**53:
            raise self.wrong(name, "an integer of at least 0")
        return int(found)

    def number(self, name: str) -> float:
        """A finite number."""
        found = self._number(name)
        if found is None:
            raise self.wrong(name, "a number")
        return found

    def wrong(self, name: str, expected: str) -> UserError:
        """The error of a cell."""
        return UserError(f"{self.path}: line {self.line}: {name}: expected {expected}, got {shown(self.cells[name])}")

    def _number(self, name: str) -> float | None:
        try:
            found = float(self.cells[name])
        except ValueError:
            return None
        return found if math.isfinite(found) else None


def read_rows(path: Path, required: Sequence[str], what: str) -> list[Row]:
    """Every row of a file that has these columns, and maybe more; `what` says in errors which file is expected."""
    table = csv.reader(io.StringIO(_text(path, what), newline=""), strict=True)
    try:
        header = next(table, [])
        check_header(path, header, required, what)
        rows = []
        for cells in table:
            if not cells:
                continue
            if len(cells) != len(header):
                told = f"{len(cells)} cells, the header {len(header)}; is the file torn?"
                raise UserError(f"{path}: line {table.line_num}: has {told}")
            rows.append(Row(path, table.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise UserError(f"{path}: line {table.line_num}: no readable CSV ({error}); expected {what}") from None
    if not rows:
        raise UserError(f"{path}: has no rows; expected {what}")
    return rows


def read_header(path: Path, what: str) -> list[str]:
    """The names of a file's columns."""
    table = csv.reader(io.StringIO(_text(path, what), newline=""), strict=True)
    try:
        return next(table, [])
    except csv.Error as error:
        raise UserError(f"{path}: line 1: no readable CSV ({error}); expected {what}") from None


def check_header(path: Path, header: Sequence[str], required: Sequence[str], what: str) -> None:
    """Refuse a file that lacks columns, or has one twice."""
    missing = [name for name in required if name not in header]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise UserError(f"{path}: expected {what}; it lacks column {', '.join(missing[:3])}{more}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"{path}: has column {shown(twice[0])} twice; expected {what}")


def _text(path: Path, what: str) -> str:
    if not path.is_file():
        told = "is a folder or no regular file" if path.exists() else "there is no such file"
        raise UserError(f"{path}: {told}; expected {what}")
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise UserError(f"{path}: has {size >> 20} MB, too many for {what}")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no UTF-8 text from byte {error.start} on; expected {what}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
