"""A tiny experiment in a folder of its own, and a way to carry it out and count what was done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deo_bench.experiments.events import Event, Outcome, RunEnded, Scored
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.launch import Launch
from deo_bench.experiments.plan import Plan, make_plan
from tests.tiny import EXPERIMENT, write_npz


class Place:
    """A folder with data, an experiment file and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.store = folder / "runs"
        self.file = folder / "tiny.toml"
        write_npz(self.data)
        self.file.write_text(EXPERIMENT)

    def plan(self, *overrides: str, data: Path | None = None, store: Path | None = None, **given: bool) -> Plan:
        """The plan of the file as it stands."""
        return make_plan(read_experiment(str(self.file), overrides), store or self.store, data or self.data, **given)

    def carry_out(self, plan: Plan, **options: float) -> tuple[Outcome, list[Event]]:
        """Do all of it; what was done."""
        launch = Launch(plan, "cpu", **options)
        return launch.outcome, list(launch.events())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The tiny experiment, carried out; to be read, not changed."""
    made = Place(tmp_path_factory.mktemp("finished"))
    made.carry_out(made.plan())
    return made


def files(store: Path) -> dict[str, bytes]:
    """Everything that must not depend on how a run came about: recipes, weights, scores, predictions."""
    kept = [
        *store.rglob("*.safetensors"),
        *store.rglob("scores/*.json"),
        *store.rglob("scores/*.npz"),
        *store.rglob("recipe.json"),
    ]
    return {str(path.relative_to(store)): path.read_bytes() for path in kept if "cache" not in path.parts}


Files = Callable[[Path], dict[str, bytes]]
__all__ = ["Place", "RunEnded", "Scored", "files"]
