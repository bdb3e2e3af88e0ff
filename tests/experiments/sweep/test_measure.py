"""What a student is measured by on the way: the `knn` part by hand, of images that are always the same."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deo_bench.data import Pack, Places
from deo_bench.engine.build import Statistics, build_frozen
from deo_bench.engine.evaluate import Evaluator
from deo_bench.engine.frozen import FrozenTeachers
from deo_bench.engine.request import Request
from deo_bench.engine.train import Source, train
from deo_bench.engine.training import Training
from deo_bench.experiments.sweep.measure import Neighbours
from deo_bench.experiments.sweep.settings import Measure
from deo_bench.probes import Fit, Select
from deo_bench.probes.knn import Knn
from deo_bench.probes.record import resolve
from deo_bench.recipe import PartTable
from deo_bench.recipe import resolve as resolve_recipe
from deo_bench.registry import Registry
from tests.tiny import encode, recipe, write_npz

CPU = torch.device("cpu")


STUDENT = {
    "use": "vit_nano", "bands": ["s2_10", "rgb"], "width": 16, "depth": 2, "heads": 2, "size": 16, "drop_path": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="module")
def pack(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("tiny")
    write_npz(folder)
    task = registry.build("task", "npz", options={"path": "tiny.npz", "unit": "dn"})
    made: Pack = task.pack(Places(folder, folder / "cache"))
    return made


@pytest.fixture
def training(registry: Registry, pack: Pack) -> Training:
    """Two steps of a training that draws."""
    frozen = FrozenTeachers(lambda table: build_frozen(table, None, registry))  # type: ignore[arg-type]
    resolved = resolve_recipe(recipe(student=STUDENT), registry)
    made = Training(resolved, 0, Statistics.of(pack), frozen, registry, CPU)
    source = Source(pack, resolved.views, resolved.train.batch, 0, CPU)
    for _ in itertools.islice(train({"a": made}, source, frozen), 2):
        pass
    return made


def neighbours(pack: Pack, registry: Registry, seed: int = 0, weights: str = "student", **settings: Any) -> Neighbours:
    protocol = resolve({"use": "scenes-v1", **settings.pop("protocol", {})}, registry)
    part = PartTable(use="knn", options=protocol.probes["knn5_l2"].options)
    request = Request(
        "own", "tiny", PartTable(use="npz"), pack.content, protocol, "knn5_l2", part, "1", "s2_10", role="select",
        weights=weights,
    )  # fmt: skip
    evaluator = Evaluator(registry, Places(None, Path("nowhere")), CPU)
    evaluator._packs[pack.content] = pack
    return Neighbours(evaluator, [request], Measure(**settings), seed)


def by_hand(training: Training, pack: Pack, backbone: Any, k: int, rows: Any = None) -> float:
    vectors = encode(backbone, pack, "s2_10", resolve("scenes-v1"), CPU)
    rows = rows or pack.splits
    fit, select = ((vectors[rows[role]], np.asarray(pack.labels)[rows[role]]) for role in ("fit", "select"))
    said = Knn(k=k, metric="cosine", vote="weighted").predict(Fit(*fit), Select(*select), select[0], 3, False)
    return float(np.mean(said.labels == select[1]))


def test_on_the_whole_splits_it_is_the_knn_part(training: Training, pack: Pack, registry: Registry) -> None:
    assert len(pack.splits["select"]) * 4 <= 4000
    for k in (1, 5):
        found = neighbours(pack, registry, images=4000, k=k)(training)
        assert found == by_hand(training, pack, training.student, k)
    (teacher,) = training.teachers.values()
    moved = neighbours(pack, registry, images=4000, k=5, weights="ema")(training)
    assert moved == by_hand(training, pack, teacher.backbone, 5)


def test_a_part_of_the_images_is_the_same_part_every_time(training: Training, pack: Pack, registry: Registry) -> None:
    one, same, other = (neighbours(pack, registry, seed, images=16, k=5) for seed in (0, 0, 1))
    value = one(training)
    assert value == one(training) == same(training)
    rows = one._rows["tiny"]
    assert [len(rows[role]) for role in ("fit", "select")] == [16, 4]
    assert all(set(rows[role]) <= set(pack.splits[role]) for role in rows)
    assert value == by_hand(training, pack, training.student, 5, {role: rows[role] for role in ("fit", "select")})
    other(training)
    assert not np.array_equal(other._rows["tiny"]["fit"], rows["fit"])


def test_nothing_of_the_training_is_touched(training: Training, pack: Pack, registry: Registry) -> None:
    measure = neighbours(pack, registry, images=16, k=5)
    training.student.train()
    next(iter(training.student.children())).eval()
    modes = [module.training for module in training.student.modules()]
    state, draws, own = training.state(), torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    measure(training)
    assert modes == [module.training for module in training.student.modules()]
    assert torch.equal(draws, torch.get_rng_state()) and np.array_equal(own, np.random.get_state()[1])  # noqa: NPY002
    after = training.state()
    for name, value in state["student"].items():
        assert torch.equal(value, after["student"][name]), name
    assert all(value.grad_fn is None for value in training.student.parameters())


def test_the_report_split_is_not_looked_at_and_bands_are_taken_from_select_alone(
    training: Training, pack: Pack, registry: Registry
) -> None:
    images, labels = np.array(pack.images), np.array(pack.labels)
    rows = pack.splits["report"]
    images[rows], labels[rows] = 0, 0
    poisoned = replace(pack, images=images, labels=labels)
    whole = neighbours(pack, registry, images=4000, k=5)
    assert whole(training) == _with(whole, poisoned)(training)
    blind = neighbours(pack, registry, images=4000, k=5, protocol={"absent": ["B08", "B8A", "B04"]})
    assert 0 <= blind(training) <= 1


def _with(measure: Neighbours, other: Pack) -> Neighbours:
    measure.evaluator._packs = {other.content: other}
    return measure


def test_features_that_are_not_finite_are_no_number(training: Training, pack: Pack, registry: Registry) -> None:
    with torch.no_grad():
        next(iter(training.student.parameters())).fill_(float("nan"))
        for value in training.student.parameters():
            value.fill_(float("nan"))
    assert np.isnan(neighbours(pack, registry, images=16, k=5)(training))
