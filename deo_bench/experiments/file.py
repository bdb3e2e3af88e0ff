"""The experiment file: a question as a recipe, a grid over it, and what its answers are scored on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import ConfigDict, Field

from deo_bench.bands import BAND_SETS
from deo_bench.declarations import PART_NAME, Count, Whole
from deo_bench.errors import UserError, nearest, shown, unknown
from deo_bench.experiments.expect import Expect
from deo_bench.experiments.sweep.settings import Seed, Sweep
from deo_bench.probes.record import ProtocolRecord
from deo_bench.probes.record import resolve as resolve_protocol
from deo_bench.recipe import Located, PartTable, find_preset, merge, parse_value, part, read_toml, set_path
from deo_bench.recipe.checking import checked, plain, refuse_repeats
from deo_bench.recipe.models import Table
from deo_bench.recipe.resolve import TABLES, frozen_teacher
from deo_bench.registry import Registry

BASELINES = ("image_stats", "random_conv", "pixel_bag", "pixels", "majority", "untrained")
"""Where a file says none; one that no task has use for (pixels, without maps of labels) is no row."""
NOT_PARTS = ("majority", "untrained", "supervised")
"""Baselines that are no teacher: the majority class, the untrained student, a student trained with the labels."""

MOST_MAPS = 16
"""Images that a figure of maps can show, a row each."""


class Cell(Table):
    """One named cell of `[[cells]]`, with seeds of its own where it has them; any other key is a dotted path."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(min_length=1)
    seeds: tuple[Seed, ...] | None = Field(default=None, min_length=1)


class Settings(Table):
    """What an experiment file holds beside the tables of a recipe.

    frozen_concat: teachers; each gives every cell a second row, `CELL + TEACHER`, whose probes see the student's pooled
    vector beside the frozen teacher's: where that gains little, the student lacks little of the teacher. maps: of so
    many images of each task every row's maps of features are kept, for a figure.
    """

    title: str = ""
    recipe: str | None = None
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    tasks: tuple[Any, ...] = ()
    protocols: tuple[Any, ...] = Field(default=("tgb-v0.4",), min_length=1)
    bands: tuple[str, ...] = ()
    weights: tuple[Literal["student", "ema"], ...] = Field(default=("student",), min_length=1)
    score_at: tuple[Count, ...] = ()
    maps: Annotated[Whole, Ge(0), Le(MOST_MAPS)] = 0
    partitions: tuple[str, ...] = Field(default=("default",), min_length=1)
    baselines: tuple[Any, ...] = BASELINES
    frozen_concat: tuple[Any, ...] = ()
    report: str | None = None
    parts: tuple[str, ...] = ()
    grid: dict[str, Any] = {}
    zip: tuple[dict[str, Any], ...] = ()
    cells: tuple[Cell, ...] = ()
    exclude: tuple[dict[str, Any], ...] = ()
    expect: tuple[Expect, ...] = ()
    sweep: Sweep | None = None


@dataclass(frozen=True)
class NamedTask:
    """A task by the name that tables show, and the part that it is."""

    name: str
    part: PartTable


@dataclass(frozen=True)
class Experiment:
    """An experiment as read: its settings, the tables of its recipe, and the registry with its own parts.

    grid, space: as written, whose strings know the folder that paths in them start from.
    """

    path: Path
    settings: Settings
    recipe: dict[str, Any]
    grid: dict[str, Any]
    registry: Registry
    space: dict[str, Any] = field(default_factory=dict)
    tasks: tuple[NamedTask, ...] = ()
    protocols: tuple[ProtocolRecord, ...] = ()
    baselines: tuple[PartTable, ...] = field(default=())
    frozen_concat: tuple[PartTable, ...] = ()

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
    settings = checked_settings(own, str(path))
    registry = Registry([_located(item, path).path for item in raw.get("parts", ())])
    concat = [frozen_teacher(item, registry, f"{path}: frozen_concat") for item in raw.get("frozen_concat", ())]
    recipe = _recipe_of(raw, path)
    tasks = tuple(named_task(item, registry, f"{path}: tasks") for item in settings.tasks)
    refuse_alike(tasks, f"{path}: tasks")
    protocols = tuple(_protocol(item, registry, str(path)) for item in settings.protocols)
    # Their scores are told apart by the id, which a choice of probes leaves as it is.
    refuse_repeats((each.id for each in protocols), f"{path}: protocols (name all probes of one in one entry)")
    return Experiment(
        path=path,
        settings=settings,
        recipe=recipe,
        grid={key: raw[key] for key in ("grid", "zip", "cells", "exclude") if key in raw},
        registry=registry,
        space=raw["sweep"]["space"] if settings.sweep else {},
        tasks=tasks,
        protocols=protocols,
        baselines=tuple(_baseline(item, registry, f"{path}: baselines") for item in raw.get("baselines", BASELINES)),
        frozen_concat=tuple(concat),
    )


def checked_settings(table: Mapping[str, Any], where: str) -> Settings:
    """The settings of a file or of a command line, each list without repeats."""
    settings = checked(Settings, table, where)
    for key in ("seeds", "bands", "weights", "score_at", "partitions"):
        refuse_repeats(getattr(settings, key), f"{where}: {key}")
    for cell in settings.cells:
        refuse_repeats(cell.seeds or (), f"{where}: cells, {cell.name}: seeds")
    for name in settings.bands:
        if name not in BAND_SETS:
            raise unknown("band set", name, BAND_SETS, f"{where}: bands")
    return settings


def named_task(entry: Any, registry: Registry, where: str) -> NamedTask:
    """A task from a name or a table with `use`; a table's `name` is what tables show, else the name of its file.

    A name that is a path (`benchmark/m-eurosat`) is shown by its last part, since score files are called by it; of a
    file's name, what can stand in no name is `_`.
    """
    table = part("task", entry, registry, where)
    name = str(table.options.get("name") or _file_name(table, registry) or table.use).rstrip("/").split("/")[-1]
    if not PART_NAME.fullmatch(name):
        raise UserError(f"{where}.name: {shown(name)} is no name for a task; letters, digits, _ . and - make one")
    return NamedTask(name, table)


def refuse_alike(tasks: Sequence[NamedTask], where: str) -> None:
    """Refuse two tasks of one name: their scores would stand in one column."""
    refuse_repeats((task.name for task in tasks), f"{where} (a task's `name` tells two apart)")


def _file_name(table: PartTable, registry: Registry) -> str:
    """The name of the file that a task is of, without its ending; empty where its part says no option that holds it."""
    option = registry.get("task", table.use).facts.get("named_by")
    stem = Path(str(table.options.get(option, ""))).stem if option else ""
    return re.sub(r"[^\w.-]", "_", stem).lstrip("_.-")


def _override(raw: dict[str, Any], text: str) -> dict[str, Any]:
    dotted, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {shown(text)}: expected a.b=c, such as train.steps=50")
    try:
        return set_path(raw, dotted.strip(), parse_value(value.strip(), Path.cwd()))
    except UserError as error:
        raise UserError(f"--set {shown(text)}: {error}") from None


def _recipe_of(raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The recipe's tables: those of the file it names, with the experiment's own laid over."""
    own = {key: value for key, value in raw.items() if key in TABLES}
    if "recipe" not in raw:
        return own
    return merge(_recipe_file(_located(raw["recipe"], path).path, path, (path.resolve(),)), own)


def _recipe_file(path: Path, origin: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """A recipe file; one that starts from another (`recipe = …`) is laid over it."""
    if path in above:
        told = " -> ".join(each.name for each in (*above, path))
        raise UserError(f"{origin}: recipe: recipes that start from one another without end: {told}")
    table = read_toml(path)
    base = table.pop("recipe", None)
    for key in table:
        if key in Settings.model_fields:
            raise UserError(f"{path}: {key!r} belongs in an experiment; a recipe has the tables {', '.join(TABLES)}")
        if key not in TABLES:
            raise UserError(f"{path}: unknown table {key!r}{nearest(key, TABLES)}")
    if base is None:
        return table
    return merge(_recipe_file(_located(base, path).path, origin, (*above, path)), table)


def _located(value: Any, path: Path) -> Located:
    if not isinstance(value, str):
        raise UserError(f"{path}: expected a path, got {shown(value)}")
    return value if isinstance(value, Located) else Located(value, path.parent.resolve())


def _protocol(item: Any, registry: Registry, source: str) -> ProtocolRecord:
    if not isinstance(item, str | Mapping):
        raise UserError(f"{source}: protocols: expected a name or a table with use = …, got {shown(item)}")
    entry = plain(item) if isinstance(item, Mapping) else str(item)
    return resolve_protocol(entry, registry, f"{source}: protocols")


def _baseline(entry: Any, registry: Registry, where: str) -> PartTable:
    if entry in NOT_PARTS:
        return PartTable(use=str(entry))
    name = entry.get("use") if isinstance(entry, Mapping) else entry
    if name == "supervised":
        return part("probe", entry, registry, where)
    if name in NOT_PARTS:
        raise UserError(f"{where}: {name!r} has no options; write the name alone")
    if isinstance(name, str) and name not in (known := registry.all("teacher")):
        raise unknown("baseline", name, [*known, *NOT_PARTS], where)
    table = part("teacher", entry, registry, where)
    if registry.get("teacher", table.use).facts.get("needs") == "student":
        raise UserError(f"{where}: {table.use!r} follows a student and is no baseline; say weights = ['ema'] instead")
    return table
