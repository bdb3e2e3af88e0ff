"""Experiment and recipe files as plain tables, with what their relative paths are relative to."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deo_bench.declarations import RESERVED
from deo_bench.errors import UserError, shown

Table = dict[str, Any]

DEEPEST = 16
"""Tables in tables: more than any recipe has, and far from where Python gives up."""


class Located(str):
    """A string from a file, which remembers the folder that a relative path in it starts from."""

    base: Path

    def __new__(cls, text: str, base: Path) -> Located:
        """A string and the folder of the file that it stands in."""
        located = super().__new__(cls, text)
        located.base = base
        return located

    def __deepcopy__(self, memo: dict[int, Any]) -> Located:
        return self

    @property
    def path(self) -> Path:
        """The path that the string names, absolute."""
        return (self.base / expanded(self)).resolve()


def expanded(text: str) -> Path:
    """A path with `~` as the user's home; of a user that does not exist it stays what it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def locate(value: Any, base: Path) -> Any:
    """The value with every string in it located."""
    if isinstance(value, Mapping):
        return {key: locate(item, base) for key, item in value.items()}
    if isinstance(value, list):
        return [locate(item, base) for item in value]
    return Located(value, base) if isinstance(value, str) else value


def read_toml(path: Path) -> Table:
    """A TOML file as located tables; what cannot be read is one line with the file and the place."""
    try:
        # Editors on Windows put a mark of byte order in front, which is no part of the text.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; name the TOML file in it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no TOML file: no UTF-8 text from byte {error.start} on") from None
    located: Table = locate(_parsed(text, str(path)), path.parent.resolve())
    return located


def _parsed(text: str, where: str) -> Table:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: not valid TOML: {error}") from None
    except (RecursionError, ValueError):
        raise UserError(f"{where}: nested too deeply, or a number of thousands of digits") from None
    refuse_strange(table, where)
    return table


def refuse_strange(value: Any, where: str, way: tuple[str, ...] = ()) -> None:
    """Refuse what TOML can say and nothing here can mean: deep nesting, dates, integers of more than 64 bits."""
    here = f"{where}: {'.'.join(way)}" if way else where
    if len(way) > DEEPEST:
        raise UserError(f"{where}: {'.'.join(way[:4])}…: nested more than {DEEPEST} deep")
    if isinstance(value, Mapping):
        for key, item in value.items():
            refuse_strange(item, where, (*way, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            refuse_strange(item, where, (*way, str(number)))
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UserError(f"{here}: an integer of more than 64 bits, {shown(value)}")
    elif not isinstance(value, str | int | float):
        raise UserError(f"{here}: a date or time, {value}; put it in quotes if it is a name")


def parse_value(text: str, base: Path) -> Any:
    """The right side of `--set a.b=c`: TOML where it is (a number, a list, a quoted word), else a bare word."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return Located(text, base)
    if len(table) != 1:
        return Located(text, base)  # a text with line breaks in it
    refuse_strange(table["value"], "the value")
    return locate(table["value"], base)


def merge(below: Table, above: Table, way: tuple[str, ...] = ()) -> Table:
    """Tables laid over each other: a table merges key by key, anything else replaces.

    A table that names another part (`use`, `loss`) or another source (`from`) than the one below drops the former's
    options, so that they do not linger; the table's own keys (a term's `toward` and `weight`, a student's `bands`)
    stay. way: where the tables stand in a recipe.
    """
    merged = copy.deepcopy(below)
    for key, value in above.items():
        lower, here = merged.get(key), (*way, key)
        if not (isinstance(lower, dict) and isinstance(value, dict)):
            merged[key] = copy.deepcopy(value)
            continue
        if _names_another(lower, value):
            lower = {name: kept for name, kept in lower.items() if name in _own_keys(here)}
        merged[key] = merge(lower, value, here)
    return merged


def _names_another(lower: Table, upper: Table) -> bool:
    return any(name in upper and name in lower and upper[name] != lower[name] for name in ("use", "loss", "from"))


def _own_keys(way: tuple[str, ...]) -> frozenset[str]:
    """The keys of a table that are not options of the part it names."""
    tables = {("student", 1): "student", ("teachers", 2): "teacher", ("heads", 2): "head", ("objective", 2): "loss"}
    kind = tables.get((way[0], len(way)))
    return RESERVED[kind] - {"use", "loss"} if kind else frozenset()


def set_path(table: Table, dotted: str, value: Any) -> Table:
    """A copy of the table with the value at a dotted path; naming another part there drops the former's options.

    A path may go through a part that is only named (`stem = "dual"`, then `student.stem.dim`).
    """
    if any(not key for key in dotted.split(".")) or dotted.count(".") >= DEEPEST:
        raise UserError(f"{shown(dotted)} is no dotted path such as teachers.optical.use")
    *way, last = dotted.split(".")
    nested: Any = value
    nested = {last: nested}
    for key in reversed(way):
        nested = {key: nested}
    return merge(_opened(table, way), nested)


def _opened(table: Table, way: list[str]) -> Table:
    opened = copy.deepcopy(table)
    here: Any = opened
    for key in way:
        if isinstance(here.get(key), str):
            here[key] = {"from" if key == "init" else "use": here[key]}
        if not isinstance(here.get(key), dict):
            break
        here = here[key]
    return opened
