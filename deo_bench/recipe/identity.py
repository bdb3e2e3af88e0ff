"""Who a run is: the digest of everything that can change its weights, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deo_bench.data import Places
from deo_bench.errors import UserError
from deo_bench.recipe.models import INIT, PartTable, Recipe
from deo_bench.recipe.presets import presets_root
from deo_bench.recipe.resolve import resolve
from deo_bench.recipe.starting import weights_of
from deo_bench.recipe.toml import read_toml
from deo_bench.registry import Registry
from deo_bench.weights import in_folder, locate

ENGINE_VERSION = 2
"""Bumped when crops, schedules, the optimiser or the trainer change numbers."""

PLACE_OPTIONS = ("path", "paths", "folder", "root", "checkout")
"""Options that say where something is: what is there counts instead (the data's fingerprint, a file's checksum)."""


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the text that digests are of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any, length: int = 12) -> str:
    """The first hex digits of the sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:length]


@dataclass(frozen=True)
class Prerequisite:
    """The run that a teacher is: a recipe and a seed, or the name of a stored run."""

    seed: int
    recipe: Recipe | None = None
    run: str | None = None


class Identifier:
    """Works out identities; what costs a look at the disk (fingerprints, checksums) is looked up once."""

    def __init__(self, registry: Registry, places: Places) -> None:
        self.registry = registry
        self.places = places
        self._seen: dict[str, str] = {}
        self._recipes: dict[Path, Recipe] = {}

    def digest(self, recipe: Recipe) -> str:
        """The 12 hex digits that name a recipe."""
        return digest(self.contents(recipe))

    def name(self, recipe: Recipe, seed: int) -> str:
        """A run's name."""
        return f"{self.digest(recipe)}-s{seed}"

    def contents(self, recipe: Recipe) -> dict[str, Any]:
        """What a recipe's digest is of: options, the parts' versions, the data's fingerprint, the teachers' weights."""
        table = recipe.model_dump(mode="json", by_alias=True)
        for kind, part, way in _parts(recipe):
            here = table
            for key in way:
                here = here[key]
            here["options"] = self._options(kind, part)
        weights = {role: self.teacher(table) for role, table in recipe.every_teacher.items()}
        start = recipe.student.init
        if start is not None and start.teacher is None:
            table["student"]["init"].pop("file", None)
            weights[INIT] = weights_of(start, cache=self.places.cache).checksum
        return {
            "recipe": table,
            "parts": self._versions(recipe),
            "engine": ENGINE_VERSION,
            "data": self.data(recipe.data),
            "weights": weights,
        }

    def data(self, table: PartTable) -> str:
        """The fingerprint of pre-training data."""
        key = "data" + canonical(table.model_dump())
        if key not in self._seen:
            source = self.registry.build("data", table.use, options=table.options)
            self._seen[key] = source.fingerprint(self.places)
        return self._seen[key]

    def teacher(self, table: PartTable) -> str | None:
        """A teacher's weights: a checksum, the name of the run that it is, or none where nothing is loaded."""
        needed = self.prerequisite(table)
        if needed is not None:
            return self.run_of(needed)
        declared = self.registry.get("teacher", table.use)
        return locate(declared, table.options, cache=self.places.cache).checksum

    def run_of(self, needed: Prerequisite) -> str:
        """The name of the run that a teacher is."""
        if needed.recipe is None:
            return str(needed.run)
        return self.name(needed.recipe, needed.seed)

    def prerequisite(self, table: PartTable) -> Prerequisite | None:
        """The run that a teacher needs, where it is one."""
        declared = self.registry.get("teacher", table.use)
        if declared.facts.get("needs") != "run":
            return None
        seed = int(table.options.get("seed", 0))
        path = table.options.get("recipe") or declared.facts.get("recipe")
        if table.options.get("run"):
            return Prerequisite(seed, run=str(table.options["run"]))
        if not path:
            raise UserError(f"teacher {table.use!r} needs run = the name of a stored run, or recipe = a recipe file")
        return Prerequisite(seed, recipe=self.recipe(presets_root() / "experiments" / str(path)))

    def recipe(self, path: Path) -> Recipe:
        """A recipe file, resolved."""
        key = path.resolve()
        if key not in self._recipes:
            self._recipes[key] = resolve(read_toml(path), self.registry, str(path))
        return self._recipes[key]

    def _options(self, kind: str, part: PartTable) -> dict[str, Any]:
        """A part's options without places; a file that an option names counts as its content."""
        declared = self.registry.get(kind, part.use)
        kept: dict[str, Any] = {}
        for name, value in part.options.items():
            if name in PLACE_OPTIONS or (kind == "teacher" and name in ("recipe", "run")):
                continue
            is_file = declared.options[name].is_path and value is not None
            kept[name] = self.file(Path(value)) if is_file else value
        return kept

    def file(self, path: Path) -> str:
        """A file's content as it counts in an identity: sha256."""
        path = in_folder(path)
        key = f"file{path}"
        if key not in self._seen:
            if not path.is_file():
                raise UserError(f"{path}: there is no such file")
            with path.open("rb") as stream:
                self._seen[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        return self._seen[key]

    def _versions(self, recipe: Recipe) -> dict[str, str]:
        return {f"{kind} {name}": self.registry.get(kind, name).identity for kind, name in named_parts(recipe)}


def named_parts(recipe: Recipe) -> list[tuple[str, str]]:
    """Kind and name of every part of a recipe."""
    return [(kind, part.use) for kind, part, _ in _parts(recipe)] + [
        ("loss", term.loss) for term in recipe.objective.values()
    ]


def _parts(recipe: Recipe) -> Iterator[tuple[str, PartTable, tuple[str, ...]]]:
    """Kind, table and place of every part that a recipe names with `use`."""
    yield "data", recipe.data, ("data",)
    yield "student", recipe.student, ("student",)
    yield "stem", recipe.student.stem, ("student", "stem")
    if recipe.student.teacher is not None:
        yield "teacher", recipe.student.teacher, ("student", "teacher")
    if recipe.student.init is not None and recipe.student.init.teacher is not None:
        yield "teacher", recipe.student.init.teacher, ("student", "init", "teacher")
    yield "balance", recipe.balance, ("balance",)
    for role, table in recipe.teachers.items():
        yield "teacher", table, ("teachers", role)
    for name, head in recipe.heads.items():
        yield "head", head, ("heads", name)
    for name, term in recipe.objective.items():
        yield "target", term.target, ("objective", name, "target")
        if isinstance(term.head, PartTable):
            yield "head", term.head, ("objective", name, "head")
