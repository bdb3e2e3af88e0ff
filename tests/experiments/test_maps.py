"""Maps of features in an experiment: asked for, made once, made again where they are gone, and read by a report."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from deo_bench.errors import UserError
from deo_bench.experiments.answer import scope_of
from deo_bench.experiments.events import Mapped, ScoreFailed
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.summary import told_outcome, told_plan
from deo_bench.store.maps import FeatureMaps, read_maps
from tests.experiments.conftest import Place

ASKED = 'maps = 2\nweights = ["student", "ema"]\n'
FEW = '[{ use = "scenes-v1", bootstrap = 10, probes = { linear = { num_c = 2 } } }]'


def ask(place: Place) -> Place:
    """Two cells of two seeds, of which maps are asked for."""
    text = place.file.read_text().replace('["scenes-v1"]', FEW).replace("steps = 6", "steps = 1")
    place.file.write_text(text.replace("seeds = [0, 1]", f"{ASKED}seeds = [0, 1]"))
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Carried out with maps; to be read, not changed."""
    place = ask(Place(tmp_path_factory.mktemp("maps")))
    place.carry_out(place.plan())
    return place


@pytest.fixture
def again(made: Place, place: Place) -> Place:
    """A copy of it."""
    shutil.copytree(made.folder, place.folder, dirs_exist_ok=True)
    return place


def files(place: Place) -> dict[str, bytes]:
    return {str(path.relative_to(place.store)): path.read_bytes() for path in place.store.rglob("maps/*")}


def read(place: Place) -> dict[str, FeatureMaps]:
    return {name: read_maps(place.store / name) for name in files(place)}


def test_every_row_s_first_seed_has_maps_of_every_kind_of_weights(made: Place) -> None:
    plan, kept = made.plan(), read(made)
    cells = [row for row in plan.rows if row.kind == "cell"]
    untrained = next(row for row in plan.rows if row.label == "untrained")
    stats = next(row for row in plan.rows if row.label == "image_stats")
    wanted = {(row.subjects[0][1], which) for row in cells for which in ("student", "ema")}
    wanted |= {(untrained.subjects[0][1], "student"), (stats.subjects[0][1], "file")}
    found = {(name.partition("/maps/")[0], name.rsplit(".", 3)[1]) for name in kept}
    assert found == wanted
    assert {name for name, maps in kept.items() if maps.reason} == {name for name in kept if "image_stats" in name}


def test_all_are_of_the_same_images_and_each_is_its_own(made: Place) -> None:
    kept = [maps for maps in read(made).values() if not maps.reason]
    for maps in kept:
        assert maps.maps.shape == (2, 2, 2, 3) and maps.maps.any()
        assert_array_equal(maps.images, kept[0].images)
        assert_array_equal(maps.pictures, kept[0].pictures)
    assert len({maps.maps.tobytes() for maps in kept}) == len(kept) == 5


def test_the_same_again_does_nothing(again: Place) -> None:
    before = files(again)
    plan = again.plan()
    assert len(plan.maps) == 6 and plan.maps_to_do() == []
    outcome, events = again.carry_out(plan)
    assert events == [] and outcome.mapped == 0 and files(again) == before


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_one_that_is_harmed_is_made_again_with_the_same_bytes_and_nothing_else(again: Place, harm: str) -> None:
    before = files(again)
    name = next(name for name in before if ".ema." in name)
    path = again.store / name
    path.unlink() if harm == "gone" else path.write_bytes(before[name][:-30])
    plan = again.plan()
    assert not plan.runs_to_do() and not plan.scores_to_do()
    assert [wanted.subject for wanted in plan.maps_to_do()] == [name.partition("/")[0]]
    assert told_plan(plan) == ["to map: 1 of 6 sets of maps, 2 images each"]
    outcome, events = again.carry_out(plan)
    assert outcome.mapped == 1 and outcome.trained == outcome.scored == 0
    assert "; 1 set of maps" in told_outcome(outcome)[0]
    assert sum(isinstance(event, Mapped) for event in events) == 1
    assert files(again) == before


def test_maps_are_no_part_of_any_run_s_or_score_s_identity(again: Place) -> None:
    more, none = again.plan("maps=3"), again.plan("maps=0")
    assert none.maps == [] and scope_of(none).maps == {}
    for plan in (more, none):
        assert not plan.runs_to_do() and not plan.scores_to_do()
    assert len(more.maps_to_do()) == len(more.maps) == 6
    assert not {wanted.stem for wanted in more.maps} & {wanted.stem for wanted in again.plan().maps}


def test_a_report_is_told_the_files(made: Place) -> None:
    told = scope_of(made.plan()).maps
    assert {f"{subject}/maps/{stem}.npz" for subject, stems in told.items() for stem in stems} == set(files(made))


def test_a_row_of_two_backbones_has_none(made: Place) -> None:
    teacher = '[{ use = "random", like = "vit_nano", settings = { width = 16, depth = 2, heads = 2, size = 16 } }]'
    text = made.file.read_text()
    other = made.folder / "bound.toml"
    other.write_text(f"frozen_concat = {teacher}\n{text}")
    plan = _at(made, other).plan()
    assert any(row.kind == "bound" for row in plan.rows)
    assert not [wanted for wanted in plan.maps if "+" in wanted.subject] and len(plan.maps) == 6


def _at(made: Place, file: Path) -> Place:
    place = Place.__new__(Place)
    place.folder, place.data, place.store, place.file = made.folder, made.data, made.store, file
    return place


def test_maps_that_cannot_be_made_are_said_and_the_rest_goes_on(again: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(next(iter(again.store.glob("*/maps"))))
    whole = {path.name for path in again.store.glob("*/maps/*")}
    monkeypatch.setattr("deo_bench.engine.maps.encode_maps", lambda *_: np.full((2, 4, 3, 3), np.nan))
    outcome, events = again.carry_out(again.plan())
    failed = [event for event in events if isinstance(event, ScoreFailed)]
    assert failed and all("not finite" in event.reason for event in failed)
    assert len(outcome.failed) == len(failed) == len(again.plan().maps_to_do())
    assert {path.name for path in again.store.glob("*/maps/*")} == whole


@pytest.mark.parametrize("given", ["-1", "17", "2.5", '"many"', "[2]", "true"])
def test_a_number_of_images_that_no_figure_shows_is_refused(place: Place, given: str) -> None:
    with pytest.raises(UserError, match=r"tiny.toml: maps: "):
        read_experiment(str(place.file), [f"maps={given}"])
