"""The tiny experiment, once with nothing in its way: what everything else here must end like."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from deo_bench.experiments.events import Event, Outcome
from deo_bench.experiments.file import Experiment, read_experiment
from deo_bench.experiments.launch import Launch
from deo_bench.experiments.plan import Plan, make_plan
from tests.faults.children import end_the_living
from tests.tiny import EXPERIMENT, write_npz

OWN = ("run.json", "train.jsonl", "lease")
"""Files that tell of one making and not of another: seconds, memory, who."""

REPORT = 'title = "Tiny"\nformats = ["csv"]\n'
EXTRA = """
[teachers.optical]
use = "random"
like = "vit_nano"
settings = { width = 16, depth = 2, heads = 2, size = 16 }

[heads.small]
use = "mlp"
width = 16
hidden = 16

[objective.optical]
loss = "cosine"
toward = "optical"
sees = "rgb"
target = "channel_std"
head = "small"
"""
CHANGES = {
    "seeds = [0, 1]": 'seeds = [0]\nscore_at = [2]\nmaps = 2\nreport = "report.toml"',
    '["scenes-v1"]': '[{ use = "scenes-v1", bootstrap = 10, probes = { linear = { num_c = 2 } } }]',
    '["image_stats", "majority", "untrained"]': '["image_stats"]',
    "[0.0, 1.0]": "[1.0]",
    "steps = 6": "steps = 3",
}


@pytest.fixture(autouse=True)
def one_thread(own_surroundings: None) -> Iterator[None]:
    """A child is forked from a process that computes on one thread, and must do so itself."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_orphans() -> Iterator[None]:
    """No child outlives its test."""
    yield
    end_the_living()


@cache
def _experiment(file: Path) -> Experiment:
    return read_experiment(str(file), ())


class Place:
    """A folder with data and an experiment file, shared by all tests, and a store of one's own."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder, self.data, self.file, self.store = folder, folder / "data", folder / "tiny.toml", store

    def plan(self) -> Plan:
        """The plan as things stand."""
        return make_plan(_experiment(self.file), self.store, self.data)

    def carry_out(self) -> tuple[Outcome, list[Event]]:
        """Do what is missing, with a checkpoint after every step."""
        launch = Launch(self.plan(), "cpu", checkpoint_seconds=0.0)
        return launch.outcome, list(launch.events())

    @property
    def words(self) -> tuple[str, ...]:
        """The command that a user types for it."""
        report = str(self.store.with_name("report"))
        where = ("--store", str(self.store), "--data", str(self.data), "--out", report)
        return ("run", str(self.file), *where, "--plain", "--threads", "1", "--device", "cpu")

    def kept(self) -> dict[str, bytes]:
        """What must be the same to the byte however the store came about: all but logs, claims and locks."""
        return {
            str(path.relative_to(self.store)): path.read_bytes()
            for path in self.store.rglob("*")
            if path.is_file() and path.suffix != ".lock" and path.name not in OWN
            if not any(part.endswith(".tmp") for part in path.relative_to(self.store).parts)
        }

    def check_whole(self, reference: Place) -> None:
        """In the middle: what has its name already is what it will be; scores have predictions, runs weights."""
        mine, theirs = self.kept(), reference.kept()
        assert [name for name in mine if not name.endswith("state.pt") and mine[name] != theirs.get(name)] == []
        for path in self.store.rglob("scores/*.json"):
            assert path.with_suffix(".npz").is_file(), f"{path.name} has no predictions"
        for path in self.store.glob("*/run.json"):
            assert json.loads(path.read_text())["state"] == "done"
            assert (path.parent / "student.safetensors").is_file() and (path.parent / "ema.safetensors").is_file()

    def check_ends(self, reference: Place) -> None:
        """The bytes of the reference, nothing left over, each step in the log once, nothing left to do."""
        mine, theirs = self.kept(), reference.kept()
        assert mine.keys() == theirs.keys()
        assert [name for name in mine if mine[name] != theirs[name]] == []
        assert not list(self.store.rglob("lease"))
        # What is half-written in the cache is nobody's in particular: `prune` removes it.
        assert not [path for path in self.store.rglob(".*.tmp") if "cache" not in path.parts]
        for log in self.store.rglob("train.jsonl"):
            steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
            assert steps == sorted(set(steps)) and steps[-1] == 2
        plan = self.plan()
        assert not plan.runs_to_do() and not plan.scores_to_do() and not plan.maps_to_do()


def make_experiment(folder: Path, **changes: str) -> Path:
    """Data, experiment and report in a folder."""
    write_npz(folder / "data", count=48)
    text = EXPERIMENT + EXTRA
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    for old, new in changes.items():
        text = re.sub(rf"^{old} = .*", f"{old} = {new}", text, flags=re.MULTILINE)
    (folder / "tiny.toml").write_text(text)
    (folder / "report.toml").write_text(REPORT)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run, two steps of which are scored, and one baseline."""
    return make_experiment(tmp_path_factory.mktemp("experiment"))


@pytest.fixture
def place(folder: Path, tmp_path: Path) -> Place:
    """The experiment, not begun."""
    return Place(folder, tmp_path / "runs")


@pytest.fixture(scope="session")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The experiment, carried out by one process that nothing befell; to be read, not changed."""
    import torch

    torch.set_num_threads(1)
    made = Place(folder, tmp_path_factory.mktemp("finished") / "runs")
    made.carry_out()
    return made


@pytest.fixture
def again(finished: Place, place: Place) -> Place:
    """A copy of the finished experiment, to be damaged."""
    shutil.copytree(finished.store, place.store)
    return place
