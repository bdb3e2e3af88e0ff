"""The experiment file: a question as a recipe, a grid over it, and what its answers are scored on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from pydantic import ConfigDict, Field

from deo_bench.errors import UserError, nearest
from deo_bench.probes.protocols import ProtocolRecord
from deo_bench.probes.protocols import resolve as resolve_protocol
from deo_bench.recipe import Located, PartTable, find_preset, merge, parse_value, part, read_toml, set_path
from deo_bench.recipe.models import Table
from deo_bench.recipe.resolve import TABLES, checked, plain
from deo_bench.registry import Registry

BASELINES = ("image_stats", "random_conv", "pixel_bag", "majority", "untrained")
NOT_PARTS = ("majority", "untrained", "supervised")
"""Baselines that are no teacher: the majority class, the untrained student, a student trained with the labels."""


class Cell(Table):
    """One named cell of `[[cells]]`, with seeds of its own where it has them; any other key is a dotted path."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    seeds: tuple[Annotated[int, Ge(0)], ...] | None = None


class Settings(Table):
    """What an experiment file holds beside the tables of a recipe."""

    title: str = ""
    recipe: str | None = None
    seeds: tuple[Annotated[int, Ge(0)], ...] = Field(default=(0,), min_length=1)
    tasks: tuple[Any, ...] = ()
    protocols: tuple[Any, ...] = ("tgb-v0.4",)
    bands: tuple[str, ...] = ()
    weights: tuple[str, ...] = ("student",)
    score_at: tuple[Annotated[int, Ge(1)], ...] = ()
    partitions: tuple[str, ...] = ("default",)
    baselines: tuple[Any, ...] = BASELINES
    report: str | None = None
    parts: tuple[str, ...] = ()
    grid: dict[str, Any] = {}
    zip: tuple[dict[str, Any], ...] = ()
    cells: tuple[Cell, ...] = ()
    exclude: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class NamedTask:
    """A task by the name that tables show, and the part that it is."""

    name: str
    part: PartTable


@dataclass(frozen=True)
class Experiment:
    """An experiment as read: its settings, the tables of its recipe, and the registry with its own parts."""

    path: Path
    settings: Settings
    recipe: dict[str, Any]
    grid: dict[str, Any]
    registry: Registry
    tasks: tuple[NamedTask, ...] = ()
    protocols: tuple[ProtocolRecord, ...] = ()
    baselines: tuple[PartTable, ...] = field(default=())

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def read_experiment(name: str, overrides: Sequence[str] = (), seeds: Sequence[int] = ()) -> Experiment:
    """An experiment by path or bare name, with `a.b=c` overrides laid over its recipe."""
    path = find_preset(name, "experiments")
    raw = read_toml(path)
    for text in overrides:
        raw = _override(raw, text)
    if seeds:
        raw["seeds"] = list(seeds)
    known = [*Settings.model_fields, *TABLES]
    for key in raw:
        if key not in known:
            raise UserError(f"{path}: unknown key {key!r}{nearest(key, known)}")
    own = {key: value for key, value in raw.items() if key in Settings.model_fields}
    settings = checked(Settings, {key: value for key, value in own.items() if value is not None}, str(path))
    registry = Registry([_located(item, path).path for item in raw.get("parts", ())])
    recipe = _recipe_of(raw, path)
    return Experiment(
        path=path,
        settings=settings,
        recipe=recipe,
        grid={key: raw[key] for key in ("grid", "zip", "cells", "exclude") if key in raw},
        registry=registry,
        tasks=tuple(named_task(item, registry, f"{path}: tasks") for item in settings.tasks),
        protocols=tuple(_protocol(item, registry, str(path)) for item in settings.protocols),
        baselines=tuple(_baseline(item, registry, f"{path}: baselines") for item in settings.baselines),
    )


def named_task(entry: Any, registry: Registry, where: str) -> NamedTask:
    """A task from a name or a table with `use`; a table's `name` is what tables show."""
    table = part("task", entry, registry, where)
    return NamedTask(str(table.options.get("name") or table.use), table)


def _override(raw: dict[str, Any], text: str) -> dict[str, Any]:
    dotted, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text!r}: expected a.b=c")
    return set_path(raw, dotted.strip(), parse_value(value.strip(), Path.cwd()))


def _recipe_of(raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The recipe's tables: those of the file it names, with the experiment's own laid over."""
    own = {key: value for key, value in raw.items() if key in TABLES}
    if "recipe" not in raw:
        return own
    return merge(_recipe_file(_located(raw["recipe"], path).path, path), own)


def _recipe_file(path: Path, origin: Path, depth: int = 0) -> dict[str, Any]:
    """A recipe file; one that starts from another (`recipe = …`) is laid over it."""
    if depth > 8:
        raise UserError(f"{origin}: recipes that start from one another without end, at {path}")
    table = read_toml(path)
    base = table.pop("recipe", None)
    for key in table:
        if key not in TABLES:
            raise UserError(f"{path}: unknown table {key!r}{nearest(key, TABLES)}")
    if base is None:
        return table
    return merge(_recipe_file(_located(base, path).path, origin, depth + 1), table)


def _located(value: Any, path: Path) -> Located:
    if not isinstance(value, str):
        raise UserError(f"{path}: expected a path, got {value!r}")
    return value if isinstance(value, Located) else Located(value, path.parent.resolve())


def _protocol(item: Any, registry: Registry, source: str) -> ProtocolRecord:
    entry = plain(item) if isinstance(item, Mapping) else str(item)
    return resolve_protocol(entry, registry, f"{source}: protocols")


def _baseline(entry: Any, registry: Registry, where: str) -> PartTable:
    if entry in NOT_PARTS:
        return PartTable(use=str(entry))
    if isinstance(entry, Mapping) and entry.get("use") == "supervised":
        return part("probe", entry, registry, where)
    return part("teacher", entry, registry, where)
