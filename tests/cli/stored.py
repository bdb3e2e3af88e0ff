"""A store as `deo-bench run` would leave it, without training: real names and recipes, made-up weights and scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deo_bench.cli import main
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.plan import Plan, make_plan
from deo_bench.files import write_bytes, write_json
from tests.reports.conftest import FakeStore
from tests.tiny import EXPERIMENT, write_npz

Call = Callable[..., str]


class Stored:
    """A working folder with data, `tiny.toml` of two cells and two seeds, and their runs in `runs/`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "runs"
        self.scores = FakeStore(self.root)
        write_npz(folder / "data", count=24)
        (folder / "tiny.toml").write_text(EXPERIMENT)

    def plan(self, *overrides: str) -> Plan:
        """The plan of the experiment as it stands."""
        return make_plan(read_experiment(str(self.folder / "tiny.toml"), overrides), self.root, self.folder / "data")

    def make(self, *overrides: str, seeds: tuple[int, ...] = (0, 1)) -> dict[str, list[str]]:
        """Every run of the experiment on disk; their names by label, in order of their seeds."""
        plan, made = self.plan(*overrides), {}
        for run in sorted(plan.runs.values(), key=lambda run: run.seed):
            if run.seed in seeds:
                folder = self.root / run.name
                write_json(folder / "recipe.json", plan.identifier.contents(run.recipe))
                write_bytes(folder / "student.safetensors", b"weights")
                sizes = {"student.safetensors": 7}
                write_json(folder / "run.json", {"state": "done", "seed": run.seed, "steps": 6, "sizes": sizes})
                made.setdefault(run.labels[0], []).append(run.name)
        return made

    def mark(self, name: str, **info: object) -> None:
        """Write something else into a run's record."""
        path = self.root / name / "run.json"
        write_json(path, {**json.loads(path.read_text()), **info})


def typed(capsys: pytest.CaptureFixture[str]) -> Call:
    """Commands as people type them: what one prints; it must exit with the status that is expected."""

    def call(*words: str, status: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        assert (ended.value.code or 0) == status, said.out + said.err
        return said.out + said.err

    return call


def files(root: Path) -> dict[str, bytes]:
    """Every file under a folder, with its content."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
