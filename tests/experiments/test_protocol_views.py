"""What a protocol does to images reaches the score: bands taken away or filled in, levels in place of the vector."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import torch

from deo_bench import scores
from deo_bench.bands import BAND_SETS
from deo_bench.engine.build import images_of
from deo_bench.engine.stored import stored_student
from deo_bench.errors import UserError
from deo_bench.experiments.events import Scored
from deo_bench.experiments.launch import Launch
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.single import plan_of_one
from deo_bench.probes import Fit, Select
from deo_bench.probes.knn import Knn
from deo_bench.registry import Registry
from deo_bench.store import Run, Store
from deo_bench.store.embeddings import SameEmbeddings
from deo_bench.students import Student
from tests.experiments.conftest import Place
from tests.tiny import write_npz

TASK = {"use": "npz", "path": "tiny.npz", "name": "tiny", "unit": "dn", "groups": "place"}
KNN = {"use": "scenes-v1", "probes": {"near": {"use": "knn", "k": 3}}}


@pytest.fixture(scope="module")
def made(finished: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy of the finished experiment, whose store may change."""
    folder = tmp_path_factory.mktemp("views") / "copy"
    shutil.copytree(finished.folder, folder)
    place = Place.__new__(Place)
    place.folder, place.data, place.store, place.file = folder, folder / "data", folder / "runs", folder / "tiny.toml"
    return place


@pytest.fixture(scope="module")
def run(made: Place) -> Run:
    return next(run for run in Store(made.store).runs() if run.is_done() and run.info["steps"] > 0)


def scored(made: Place, run: Run, fields: dict[str, Any], task: dict[str, Any] = TASK) -> tuple[Plan, list[Scored]]:
    plan = plan_of_one(run.name, [task], [{**KNN, **fields}], made.store, made.data)  # type: ignore[list-item]
    launch = Launch(plan, "cpu")
    done = [event for event in launch.events() if isinstance(event, Scored)]
    assert not launch.outcome.failed
    return plan, done


def by_hand(made: Place, run: Run, plan: Plan, blank: list[str], levels: tuple[str, ...] = ()) -> float:
    """3-NN's accuracy from vectors of the student, whose normalised `blank` bands are 0 in the report images."""
    registry = Registry()
    student: Student = stored_student(run, registry, "student").eval()
    pack = registry.build("task", "npz", options=plan.experiment.tasks[0].part.options).pack(plan.places)
    pixels = student.prepare(images_of(pack, np.arange(len(pack))), "s2_10", "native")
    rows = np.array(pack.splits["report"])
    for band in blank:
        pixels[torch.from_numpy(rows), BAND_SETS["s2_10"].index(band)] = 0
    with torch.no_grad():
        features = student.extract(pixels, "s2_10", levels)
    found = [features.maps[level].mean((2, 3)) for level in levels] or [features.get("default")]
    vectors = torch.cat(found, 1).numpy()
    sides = [(vectors[pack.splits[role]], pack.labels[pack.splits[role]]) for role in ("fit", "select")]
    said = Knn(k=3).predict(Fit(*sides[0]), Select(*sides[1]), vectors[rows], 3, False)
    return float((said.labels == pack.labels[rows]).mean())


def value_of(plan: Plan) -> float:
    (stem,) = [request.stem for request in plan.requests if request.probe == "near"]
    frame = scores(plan.store.root)
    (value,) = frame[frame.path.str.contains(stem, regex=False)].value
    return float(value)


def test_absent_bands_are_gone_from_the_report_split_alone(made: Place, run: Run) -> None:
    plan, done = scored(made, run, {"absent": ["B08", "B8A", "B11", "B12"]})
    assert value_of(plan) == pytest.approx(by_hand(made, run, plan, ["B08", "B8A", "B11", "B12"]))
    # The class shows in the near infrared alone: without it nothing is left to see.
    whole, _ = scored(made, run, {})
    assert value_of(whole) == pytest.approx(by_hand(made, run, whole, []))
    assert value_of(whole) > value_of(plan)
    # All images were encoded before; of the others only the report split is.
    assert sum(event.encoded for event in done) in (24, 96 + 24)


def test_levels_stand_in_the_vectors_place(made: Place, run: Run) -> None:
    plan, _ = scored(made, run, {"levels": 2})
    assert value_of(plan) == pytest.approx(by_hand(made, run, plan, [], ("block_0", "block_1")))


def test_bands_that_lack_are_filled_in_where_a_protocol_says_so(made: Place, run: Run) -> None:
    names = BAND_SETS["s2_10"][:-1]
    path = write_npz(made.data, "fewer.npz")
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    np.savez(path, **{**kept, "images": kept["images"][:, :-1], "bands": np.array(names)})
    task = {**TASK, "path": "fewer.npz", "name": "fewer"}
    plan, _ = scored(made, run, {"pad": True}, task)
    assert {request.bands for request in plan.requests} == {"s2_10"}
    assert value_of(plan) > 0.5
    plain, _ = scored(made, run, {}, task)
    assert {request.bands for request in plain.requests} == {"rgb"}


def test_a_switch_that_does_nothing_is_told(made: Place, run: Run) -> None:
    scored(made, run, {})
    with pytest.warns(SameEmbeddings, match="size = None and 16"):
        scored(made, run, {"size": 16})


def test_what_a_protocol_takes_away_is_a_band(made: Place, run: Run) -> None:
    with pytest.raises(UserError, match="B99"):
        scored(made, run, {"absent": ["B99"]})


def test_a_band_is_taken_away_by_any_of_its_names(made: Place, run: Run) -> None:
    told, _ = scored(made, run, {"absent": ["nir", "B8A", "B11", "B12"]})
    assert told.requests[0].protocol.absent == ("B08", "B11", "B12", "B8A")
    same, done = scored(made, run, {"absent": ["B12", "B11", "B8A", "B08"]})
    assert same.requests[0].protocol.id == told.requests[0].protocol.id and not done


def test_where_nothing_would_be_gone_is_said(made: Place, run: Run) -> None:
    protocol = {**KNN, "absent": ["B01"]}
    with pytest.raises(UserError, match="takes B01 away, of which s2_10 has none"):
        plan_of_one(run.name, [TASK], [protocol], made.store, made.data)  # type: ignore[list-item]


def test_vectors_made_of_maps_are_asked_of_what_has_maps(made: Place) -> None:
    given = ([TASK], [{**KNN, "levels": 1}], made.store, made.data, ["rgb"])
    for name in ("pixels", "random_conv"):
        assert plan_of_one(name, *given).requests  # type: ignore[arg-type]
    with pytest.raises(UserError, match="need maps of features, which 'image_stats' does not give"):
        plan_of_one("image_stats", *given)  # type: ignore[arg-type]
