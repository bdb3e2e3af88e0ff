"""What every test has: no network, few passive threads, a store of its own, and the real data where they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MPLBACKEND", "agg")

THREADS = 1
WORKERS = 4
"""Processes at the most that `-n auto` shares the tests out among: each takes about 2 GB."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One for every core that this process may use."""
    return min(len(os.sched_getaffinity(0)), WORKERS)


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the user's shell reaches a test, and a test that uses torch uses few threads."""
    for name in ("DEO_BENCH_STORE", "DEO_BENCH_STORAGE", "DEO_BENCH_DATA", "DEO_BENCH_CACHE", "GEO_BENCH_DIR"):
        monkeypatch.delenv(name, raising=False)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(THREADS)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty place for a store."""
    return tmp_path / "runs"


@pytest.fixture
def part_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a part file of a user's own and gives its path."""

    def write(text: str, name: str = "own.py") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data that DEO_BENCH_TEST_DATA names; the test is skipped where there is none."""
    given = os.environ.get("DEO_BENCH_TEST_DATA")
    if not given or not (Path(given) / "real").is_dir():
        pytest.skip("needs real data: set DEO_BENCH_TEST_DATA to a folder that holds real/")
    return Path(given) / "real"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny experiment of one seed, carried out, and the name of its run with both losses; to be read only."""
    from tests.experiments.conftest import Place

    place = Place(tmp_path_factory.mktemp("trained"))
    place.file.write_text(place.file.read_text().replace("seeds = [0, 1]", "seeds = [3]"))
    plan = place.plan()
    place.carry_out(plan)
    (name,) = (run.name for run in plan.runs.values() if "weight=1.0" in run.labels)
    return place, name
