"""Experiment and recipe files as plain tables, with what their relative paths are relative to."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deo_bench.declarations import RESERVED
from deo_bench.errors import UserError

Table = dict[str, Any]


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
        return (self.base / Path(self).expanduser()).resolve()


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
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    located: Table = locate(table, path.parent.resolve())
    return located


def parse_value(text: str, base: Path) -> Any:
    """The right side of `--set a.b=c`: TOML where it is (a number, a list, a quoted word), else a bare word."""
    try:
        return locate(tomllib.loads(f"value = {text}")["value"], base)
    except tomllib.TOMLDecodeError:
        return Located(text, base)


def merge(below: Table, above: Table, way: tuple[str, ...] = ()) -> Table:
    """Tables laid over each other: a table merges key by key, anything else replaces.

    A table that names another part (`use`, `loss`) than the one below drops the former part's options, so that they do
    not linger; the table's own keys (a term's `toward` and `weight`, a student's `bands`) stay. way: where the tables
    stand in a recipe.
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
    return any(name in upper and name in lower and upper[name] != lower[name] for name in ("use", "loss"))


def _own_keys(way: tuple[str, ...]) -> frozenset[str]:
    """The keys of a table that are not options of the part it names."""
    kind = {("student", 1): "student", ("heads", 2): "head", ("objective", 2): "loss"}.get((way[0], len(way)))
    return RESERVED[kind] - {"use", "loss"} if kind else frozenset()


def set_path(table: Table, dotted: str, value: Any) -> Table:
    """A copy of the table with the value at a dotted path; naming another part there drops the former's options.

    A path may go through a part that is only named (`stem = "dual"`, then `student.stem.dim`).
    """
    if not dotted or any(not key for key in dotted.split(".")):
        raise UserError(f"{dotted!r} is no dotted path such as teachers.optical.use")
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
            here[key] = {"use": here[key]}
        if not isinstance(here.get(key), dict):
            break
        here = here[key]
    return opened
