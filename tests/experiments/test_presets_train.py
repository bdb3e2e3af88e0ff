"""Every cell of every preset for two CPU cores takes two steps: whatever it names can be built and trained together.

Of a sweep also what lies at the upper end of its space: the last choices, the greatest numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from deo_bench.data import Pack, Places
from deo_bench.engine.build import Statistics, build_frozen, build_student
from deo_bench.engine.frozen import FrozenTeachers, needs_clean
from deo_bench.engine.train import Source, train
from deo_bench.engine.training import Training
from deo_bench.engine.transforms import fit_transforms
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.grid import cells_of
from deo_bench.recipe import Identifier, Recipe, StudentTable, presets_root
from deo_bench.registry import Registry
from deo_bench.students import Student
from tests.experiments.corners import corners_of

EXPERIMENTS = presets_root() / "experiments"
TINY = sorted(EXPERIMENTS.rglob("*-tiny.toml"), key=lambda path: path.stem)
TINY = [path for path in TINY if path.parent.name != "recipes"]
REGISTRY = Registry()
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(None, tmp_path_factory.mktemp("cache"))


def cells() -> Iterator[Any]:
    for path in TINY:
        name = path.relative_to(EXPERIMENTS).with_suffix("").as_posix()
        experiment = read_experiment(name, ["data.count=48"])
        for cell in cells_of(experiment):
            yield pytest.param(cell.recipe, id=f"{name}#{cell.label}")
        if experiment.settings.sweep is not None:
            *_, (_, _, recipe) = corners_of(experiment)
            yield pytest.param(recipe, id=f"{name}, the greatest of everything")


def stand_in(pack: Pack) -> Student:
    """In the place of the stored run that the optical teacher is: the same student, untrained."""
    table = StudentTable(use="vit_nano", options={}, bands=("rgb",), stem={"use": "single", "options": {"norm": False}})
    options = REGISTRY.options("student", "vit_nano", {}, "stand-in")
    return build_student(table.model_copy(update={"options": options}), Statistics.of(pack), REGISTRY, 0)


@pytest.mark.parametrize("recipe", list(cells()))
def test_it_takes_two_steps(recipe: Recipe, places: Places, tmp_path: Path) -> None:
    steps = 2 if recipe.objective else 0
    changed = recipe.train.model_copy(update={"steps": steps, "batch": 12})
    recipe = recipe.model_copy(update={"train": changed})
    pack = REGISTRY.build("data", recipe.data.use, options=recipe.data.options).pack(places)
    frozen = FrozenTeachers(lambda table: build_frozen(table, lambda _: stand_in(pack), REGISTRY))
    run = Training(recipe, 0, Statistics.of(pack), frozen, REGISTRY, CPU)
    clusters = recipe.train.clusters
    source = Source(pack, recipe.views, 12, 0, CPU, clean=needs_clean(recipe), clusters=clusters)
    fit_transforms(run, source, Identifier(REGISTRY, places), tmp_path)
    before = {name: value.clone() for name, value in run.student.state_dict().items()}
    done = list(train({"run": run}, source, frozen))
    assert len(done) == steps and not any(step.failed for step in done)
    if recipe.objective:
        assert any(not torch.equal(value, before[name]) for name, value in run.student.state_dict().items())
