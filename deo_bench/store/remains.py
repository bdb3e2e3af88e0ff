"""A run as it lies on disk: what of it is whose, whether it is finished, and what it was taught by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from deo_bench.errors import StoreError
from deo_bench.files import read_json
from deo_bench.recipe import digest
from deo_bench.store.disk import TEMPORARY
from deo_bench.store.lease import claimant
from deo_bench.store.runs import PRUNED, RUN_NAME, SCORES, Run

RESULTS = (*SCORES.values(), "maps")
"""Folders of what was found out about a run: they stay or go together, and nothing but the weights makes them again."""

_RECORD = ("recipe.json", "run.json", *RESULTS)
_FILES = re.compile(r"recipe\.json|run\.json|lease|train\.jsonl|(student|ema)(-\d+)?\.safetensors|targets\.safetensors")
_FOUND = re.compile(r"lease|.+\.(json|npz|npy|png)")
_UNFINISHED = {"missing": "nothing was written", "failed": "failed", "started": "not finished", PRUNED: "not finished"}


@dataclass(frozen=True)
class Remains:
    """A run as it lies there.

    is_done: finished and whole; teachers: the runs that its teachers are; ours: files and folders that deo-bench made;
    foreign: names of what it did not.
    """

    run: Run
    state: str
    is_done: bool
    is_unfinished: bool
    teachers: frozenset[str]
    ours: tuple[Path, ...]
    foreign: tuple[str, ...]

    @property
    def told(self) -> str:
        """Why it is unfinished, in words."""
        return self.run.told_stop or _UNFINISHED.get(self.state, "torn")

    @property
    def has_scores(self) -> bool:
        """Whether it has scores, on whichever split."""
        return any(path for folder in SCORES.values() for path in (self.run.path / folder).glob("*.json"))

    @property
    def results(self) -> tuple[Path, ...]:
        """Its folders of results among which nothing foreign lies."""
        mixed = {name.partition("/")[0] for name in self.foreign if "/" in name}
        return tuple(path for path in self.ours if path.name in RESULTS and path.name not in mixed)

    def claimant(self) -> str:
        """Who trains or scores the run now, or nothing."""
        return claimant(self.run.path / "lease") or claimant(self.run.path / "scores" / "lease")

    def beside_record(self) -> tuple[Path, ...]:
        """What goes where its record and its scores stay; the state to resume from first."""
        paths = [path for path in self.ours if path.name not in (*_RECORD, "lease")]
        return tuple(sorted(paths, key=lambda path: (path.name != "resume", path.name)))


def see(run: Run, left: list[tuple[str, str]]) -> Remains | None:
    """A run as it lies there; none where it is not ours, which is added to `left` with the reason."""
    if run.path.is_symlink():
        left.append((run.name, "is a link; what it points to is not looked at"))
        return None
    inside = sorted(path for path in run.path.iterdir() if not path.match(TEMPORARY))
    ours = tuple(path for path in inside if path.name in (*RESULTS, "resume") or _FILES.fullmatch(path.name))
    foreign = [path.name for path in inside if path not in ours]
    for folder in (run.path / name for name in RESULTS):
        if folder.is_dir():
            foreign += [f"{folder.name}/{path.name}" for path in folder.iterdir() if not _is_result(path)]
    try:
        teachers = _teachers(run)
    except StoreError as error:
        is_there = (run.path / "recipe.json").exists()
        if is_there or foreign:
            reason = str(error).removeprefix(f"{run.path}/") if is_there else "a folder without a recipe.json"
            left.append((run.name, f"not a run: {reason}"))
            return None
        teachers = frozenset()
    state = run.state
    is_done = state == "done" and not run.problem()
    # One that was stopped, or is trained again, has a state to resume from, which is nobody's leftover.
    is_unfinished = run.resume_path.is_dir() if state == PRUNED else not is_done
    return Remains(run, state, is_done, is_unfinished, teachers, ours, tuple(sorted(foreign)))


def _teachers(run: Run) -> frozenset[str]:
    """The runs that a run's teachers are; a StoreError where its recipe is not its own."""
    contents = read_json(run.path / "recipe.json")
    if not isinstance(contents, dict) or digest(contents) != run.name.partition("-s")[0]:
        raise StoreError("its recipe.json is not the recipe that its name says")
    named = contents.get("weights") or {}
    return frozenset(name for name in named.values() if isinstance(name, str) and RUN_NAME.fullmatch(name))


def _is_result(path: Path) -> bool:
    return path.is_file() and (bool(_FOUND.fullmatch(path.name)) or path.match(TEMPORARY))
