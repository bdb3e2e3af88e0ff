"""Runs in the making, on a data set of a few images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deo_bench.data import Pack, Places
from deo_bench.engine.build import Statistics, build_frozen
from deo_bench.engine.frozen import FrozenTeachers
from deo_bench.engine.train import Source
from deo_bench.engine.training import Training
from deo_bench.recipe import resolve
from deo_bench.registry import Registry
from tests.tiny import recipe, write_npz

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry(
        [Path(__file__).parents[1] / "parts" / "losses.py", Path(__file__).parents[1] / "parts" / "balances.py"]
    )


@pytest.fixture(scope="session")
def pack(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("tiny")
    write_npz(folder)
    data = registry.build("data", "npz", options={"paths": ["tiny.npz"], "unit": "dn"})
    made: Pack = data.pack(Places(folder, folder / "cache"))
    return made


@pytest.fixture
def cohort(registry: Registry, pack: Pack) -> Callable[..., tuple[dict[str, Training], Source, FrozenTeachers]]:
    """Builds runs that share a source: `cohort(a={...changes of the recipe...}, b={...})`."""

    def make(seed: int = 0, **changes: dict[str, Any]) -> tuple[dict[str, Training], Source, FrozenTeachers]:
        frozen = FrozenTeachers(lambda table: build_frozen(table, None, registry))  # type: ignore[arg-type]
        runs = {}
        for name, change in changes.items():
            resolved = resolve(recipe(**change), registry, name)
            runs[name] = Training(resolved, seed, Statistics.of(pack), frozen, registry, CPU)
        first = next(iter(runs.values())).recipe
        return runs, Source(pack, first.views, first.train.batch, seed, CPU), frozen

    return make
