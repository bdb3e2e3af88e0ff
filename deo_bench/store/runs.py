"""Runs on disk: a folder a run, readable with ls and cat, one writer a file."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deo_bench.errors import StoreError
from deo_bench.files import checksum, read_json, sweep, write_arrays, write_json
from deo_bench.recipe import digest
from deo_bench.score import Score
from deo_bench.store.maps import FeatureMaps, has_maps, write_maps
from deo_bench.store.scores import is_whole, read_score

RUN_NAME = re.compile(r"[0-9a-f]{12}-s\d+")
PRUNED = "pruned"
"""The state of a run without its last weights that was something once: they were let go, or it was stopped early."""

SCORES = {"report": "scores", "select": "select"}
"""The folder of a subject's scores, by the split that they are on. What a sweep tunes by is no result."""


class Subject:
    """Whatever has scores: a run, or a backbone that is not a run."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.path = root / name

    def score_path(self, stem: str, role: str = "report") -> Path:
        """The file of a score on a role's split."""
        return self.path / SCORES[role] / f"{stem}.json"

    def has_score(self, stem: str, role: str = "report") -> bool:
        """Whether a score on a role's split and its predictions are there, whole and its own."""
        return is_whole(f"{self.path}/{SCORES[role]}", stem, self.name, role)

    def score(self, stem: str, role: str = "report") -> Score:
        """A score that is there; a StoreError where it is torn or foreign."""
        path = self.score_path(stem, role)
        try:
            return read_score(str(path.parent), path.name, self.name, role)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: not used, {error}") from None

    def maps_path(self, stem: str) -> Path:
        """The file of maps of features."""
        return self.path / "maps" / f"{stem}.npz"

    def has_maps(self, stem: str) -> bool:
        """Whether such maps are there, and were not cut."""
        return has_maps(self.maps_path(stem))

    def write_maps(self, stem: str, made: FeatureMaps) -> None:
        """Maps of features, whole or not at all."""
        write_maps(self.maps_path(stem), made)

    def write_score(self, score: Score, arrays: dict[str, Any]) -> None:
        """Predictions first, then the score: a score that is there has its predictions."""
        path = self.score_path(score.stem, score.role)
        write_arrays(path.with_suffix(".npz"), arrays)
        write_json(path, score.model_dump(mode="json"))


class Run(Subject):
    """One recipe with one seed, on disk."""

    @property
    def resume_path(self) -> Path:
        """The folder of the state to resume from."""
        return self.path / "resume"

    def tidy(self, steps: tuple[int, ...] = ()) -> None:
        """Remove what a killed process left behind; for whoever holds the claim on the run."""
        if self.is_done(steps):
            shutil.rmtree(self.resume_path, ignore_errors=True)
        for folder in (self.path, self.resume_path):
            sweep(folder)

    @property
    def info(self) -> dict[str, Any]:
        """`run.json`: how and where the run was made; empty where it is not there yet."""
        path = self.path / "run.json"
        if not path.is_file():
            return {}
        table = read_json(path)
        if not isinstance(table, dict):
            raise StoreError(f"{path}: torn or foreign")
        return table

    def problem(self) -> str:
        """Why what is on disk is not this run (torn, foreign), or nothing."""
        try:
            recipe, info = read_json(self.path / "recipe.json"), self.info
        except StoreError as error:
            return str(error)
        if digest(recipe) != self.name.partition("-s")[0]:
            return f"{self.path / 'recipe.json'}: is not the recipe that the folder's name says"
        for name, size in info.get("sizes", {}).items():
            path = self.path / name
            if not path.is_file() or path.stat().st_size != size:
                return f"{path}: torn, {size} bytes were written"
        return ""

    @property
    def state(self) -> str:
        """`done`, `failed`, `pruned` (its weights were, or a sweep stopped it), `started`, `missing` or `torn`."""
        if not (self.path / "run.json").is_file():
            return "started" if (self.path / "recipe.json").is_file() else "missing"
        try:
            return str(self.info.get("state", "started"))
        except StoreError:
            return "torn"

    @property
    def stopped_at(self) -> int | None:
        """The step at which a sweep stopped the run early; none where it was not, or is told of otherwise."""
        with contextlib.suppress(StoreError):
            info = self.info
            step = info.get("step")
            if info.get("state") == PRUNED and isinstance(step, int):
                return step
        return None

    @property
    def told_stop(self) -> str:
        """That a sweep stopped the run early, in words, or nothing."""
        step = self.stopped_at
        return "" if step is None else f"a sweep stopped it at step {step}"

    @property
    def told_state(self) -> str:
        """The state in words: of a pruned run which of the two that is."""
        if self.state != PRUNED:
            return self.state
        return f"pruned, {self.told_stop or 'its weights are gone'}"

    def is_done(self, steps: tuple[int, ...] = ()) -> bool:
        """Whether the run is trained, whole, and has kept the weights of these steps."""
        return self.state == "done" and not self.problem() and all(self.weights("student", s).is_file() for s in steps)

    def weights(self, which: str = "student", step: int | None = None) -> Path:
        """The file of the weights: the student's or the EMA teacher's, at the end or at a step."""
        return self.path / (f"{which}.safetensors" if step is None else f"{which}-{step:07d}.safetensors")

    def weights_checksum(self, which: str = "student", step: int | None = None) -> str:
        """The sha256 of a weights file, as recorded when it was written."""
        path = self.weights(which, step)
        known = self.info.get("checksums", {}).get(path.name)
        return str(known) if known else checksum(path)


@dataclass(frozen=True)
class Store:
    """A folder of runs."""

    root: Path

    def run(self, name: str) -> Run:
        """A run by its name."""
        return Run(self.root, name)

    def subject(self, name: str) -> Subject:
        """A run or a backbone (`backbones/NAME-<hex>`)."""
        return self.run(name) if RUN_NAME.fullmatch(name) else Subject(self.root, name)

    def runs(self) -> Iterator[Run]:
        """Every run folder, by name."""
        if self.root.is_dir():
            for path in sorted(self.root.iterdir()):
                if path.is_dir() and RUN_NAME.fullmatch(path.name):
                    yield self.run(path.name)

    def starting(self, prefix: str) -> list[Run]:
        """The runs whose names start so."""
        return [run for run in self.runs() if run.name.startswith(prefix)]

    def find(self, prefix: str) -> Run:
        """The run whose name starts so."""
        found = self.starting(prefix)
        if len(found) != 1:
            what = "no run" if not found else f"{len(found)} runs"
            raise StoreError(f"{self.root}: {what} called {prefix}…; `deo-bench runs` lists them")
        return found[0]
