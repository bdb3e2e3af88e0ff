"""What a comparison is of: a stored run, all seeds of a recipe, or the cell of an experiment file."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deo_bench.data import Places
from deo_bench.errors import MissingInput, StoreError, UserError, nearest, unknown
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.grid import GridCell, cells_of
from deo_bench.files import read_json
from deo_bench.recipe import Identifier, PartTable, digest, find_preset, presets_root
from deo_bench.store import Run, Store

_STORED = re.compile(r"[0-9a-f]{4,12}(-s\d*)?")


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    contents: what its digest is of; runs: those of the store, by seed; note: why they may not be all, or none;
    marks: what is worth a mark about them.
    """

    given: str
    label: str
    digest: str
    contents: Mapping[str, Any]
    runs: tuple[Run, ...]
    note: str = ""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its runs."""
        return tuple(map(_seed, self.runs))

    @property
    def marks(self) -> list[str]:
        """What the records of its runs mark, and of how many."""
        marks = Counter(mark for run in self.runs for mark in _info(run).get("marks", ()))
        return [
            m if count == len(self.runs) else f"{m} ({count} of {len(self.runs)} runs)" for m, count in marks.items()
        ]


def find_side(given: str, store: Store, data: Path | None = None) -> Side:
    """A side by a run's name or its start, by the 12 digits that all seeds of a recipe share, or by a file.

    A file (or a preset's name) may be an experiment or a recipe; of an experiment with several cells one is named as
    `FILE#CELL`, by its label, a part of it, or its number.
    """
    stored = store.starting(given) if _STORED.fullmatch(given) else []
    if stored:
        return _of_runs(given, [run for run in stored if run.name == given] or stored)
    name, _, cell = given.partition("#")
    path = _file(name)
    if path is None:
        raise _unknown(given, store)
    return _of_file(given, path, cell, store, data)


def _unknown(given: str, store: Store) -> UserError:
    """An error with the run whose name starts most like it, else the nearest name of any sort."""
    names = [run.name for run in store.runs()]
    starts = {name[: len(given)]: name for name in names} if _STORED.fullmatch(given) else {}
    near = difflib.get_close_matches(given, starts, n=1)
    what = "run, recipe or experiment"
    if near:
        return UserError(f"{store.root}: unknown {what} {given!r}, did you mean {starts[near[0]]!r}?")
    return unknown(what, given, [*_presets(), *names], str(store.root))


def _of_runs(given: str, stored: Sequence[Run]) -> Side:
    recipes = dict.fromkeys(run.name.partition("-s")[0] for run in stored)
    if len(recipes) > 1:
        raise UserError(f"{given!r} starts the names of runs of {len(recipes)} recipes: {', '.join(recipes)}; say more")
    name = next(iter(recipes))
    for run in stored:
        try:
            contents = read_json(run.path / "recipe.json")
        except StoreError:
            continue
        if digest(contents) == name:
            runs = tuple(sorted(stored, key=_seed))
            return Side(given, runs[0].name if len(runs) == 1 else name, name, contents, runs)
    raise StoreError(f"{stored[0].path}: its recipe.json is torn or not its own")


def _of_file(given: str, path: Path, cell: str, store: Store, data: Path | None) -> Side:
    experiment = read_experiment(str(path))
    chosen = _cell(cells_of(experiment), cell, path)
    places = Places.of(store.root, data)
    label = path.stem if chosen.label == path.stem else f"{path.stem}: {chosen.label}"
    try:
        contents = Identifier(experiment.registry, places).contents(chosen.recipe)
    except MissingInput as error:
        contents = _Unseen(experiment.registry, places).contents(chosen.recipe)
        return Side(given, label, "", contents, (), f"its runs cannot be named here: {error}")
    name = digest(contents)
    runs = [run for run in store.starting(f"{name}-s") if digest(read_json(run.path / "recipe.json")) == name]
    if "seeds" in experiment.settings.model_fields_set:
        runs = [run for run in runs if _seed(run) in chosen.seeds]
    note = "" if runs else f"none of its runs is in {store.root}"
    return Side(given, label, name, contents, tuple(sorted(runs, key=_seed)), note)


class _Unseen(Identifier):
    """Describes a recipe without looking at data and weights."""

    def data(self, table: PartTable) -> str:
        return None  # type: ignore[return-value]

    def teacher(self, table: PartTable) -> str | None:
        return None


def _cell(cells: Sequence[GridCell], asked: str, path: Path) -> GridCell:
    told = "; ".join(f"{number}: {cell.label}" for number, cell in enumerate(cells, 1))
    if not asked and len(cells) == 1:
        return cells[0]
    if not asked:
        raise UserError(f"{path} has {len(cells)} cells; name one as {path.stem}#NUMBER or #LABEL ({told})")
    if asked.isdigit() and 1 <= int(asked) <= len(cells):
        return cells[int(asked) - 1]
    exact = [cell for cell in cells if cell.label == asked]
    found = exact or [cell for cell in cells if asked in cell.label]
    if len(found) != 1:
        what = f"{len(found)} cells with" if found else "no cell"
        raise UserError(f"{path}: {what} {asked!r}{nearest(asked, [c.label for c in cells])} ({told})")
    return found[0]


def _file(name: str) -> Path | None:
    """An experiment or a recipe by path or bare name; none where there is none of that name."""
    if Path(name).suffix == ".toml":
        return find_preset(name, "experiments")
    for place in (name, f"recipes/{name}"):
        for base in (Path("experiments"), presets_root() / "experiments"):
            if (base / f"{place}.toml").is_file():
                return base / f"{place}.toml"
    return None


def _presets() -> list[str]:
    base = presets_root() / "experiments"
    return [path.stem for path in base.rglob("*.toml")]


def _seed(run: Run) -> int:
    return int(run.name.partition("-s")[2])


def _info(run: Run) -> dict[str, Any]:
    try:
        return run.info
    except StoreError:
        return {}
