"""What choices name has to be here before the first trial, names the study, and is judged on one band set."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deo_bench.errors import MissingInput, UserError
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.sweep.plan import make_sweep
from deo_bench.experiments.sweep.trial import trial_plan
from tests.sweeping import SWEEP, Place
from tests.tiny import write_npz

DATA = 'data.paths = [["tiny.npz"], ["other.npz"]]\n'
BANDS = 'student.bands = [["s2_10", "rgb"], ["rgb"]]\n'


def name(place: Place) -> str:
    (tuned,) = place.sweep().cells
    return tuned.study


def test_data_that_only_a_choice_names_is_missed_before_the_first_trial(tmp_path: Path) -> None:
    place = Place(tmp_path, SWEEP + DATA)
    with pytest.raises(MissingInput) as caught:
        place.sweep()
    said = str(caught.value)
    assert said.startswith(f"{place.file}: sweep.space.data.paths: ") and "other.npz" in said
    assert "--skip-missing" not in said and "\n" not in said
    assert not list(place.store.rglob("*.journal"))
    write_npz(place.data, "other.npz", seed=1)
    place.sweep()


def test_weights_and_runs_that_only_a_choice_names_are_missed_before_the_first_trial(tmp_path: Path) -> None:
    weights = 'student.init = ["scratch", { from = "file", file = "gone.safetensors", model = "vit_tiny" }]\n'
    place = Place(tmp_path, SWEEP + weights)
    with pytest.raises(UserError, match=r"sweep\.space\.student\.init: .*gone\.safetensors"):
        place.sweep()
    run = 'teachers.spectral = [{ use = "ema" }, { use = "run", run = "0123456789ab-s0" }]\n'
    place.file.write_text(SWEEP + run)
    with pytest.raises(MissingInput, match=r"sweep\.space\.teachers\.spectral: .*no trained run 0123456789ab-s0"):
        place.sweep()


def test_what_lacks_in_the_recipe_itself_is_said_without_an_option_that_a_sweep_has_not(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.rmtree(place.data)
    with pytest.raises(MissingInput) as caught:
        place.sweep()
    assert "--skip-missing" not in str(caught.value)


def test_another_file_at_the_place_that_a_choice_names_is_another_study(tmp_path: Path) -> None:
    place = Place(tmp_path, SWEEP + DATA)
    write_npz(place.data, "other.npz", seed=1)
    before = name(place)
    assert name(place) == before
    write_npz(place.data, "other.npz", seed=2)
    assert name(place) != before
    (place.data / "other.npz").unlink()
    with pytest.raises(UserError, match="cannot tell which studies are its own: "):
        make_sweep(read_experiment(str(place.file)), place.store, place.data, skip_missing=True)


def test_a_space_of_numbers_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = name(Place(tmp_path))
    monkeypatch.setattr("deo_bench.experiments.sweep.plan.digests_of", lambda *given: [])
    assert name(Place(tmp_path)) == before


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        (SWEEP, "s2_10"),
        (SWEEP + BANDS, "rgb"),
        (SWEEP + "\n[grid]\n" + BANDS, "rgb"),
        ('bands = ["rgb", "s2_10"]\n' + SWEEP, "rgb"),
        ('bands = ["s2_10", "rgb"]\n' + SWEEP + BANDS, "rgb"),
    ],
)
def test_all_trials_and_finalists_are_judged_on_one_band_set(tmp_path: Path, text: str, judged: str) -> None:
    place = Place(tmp_path, text)
    made = place.sweep()
    assert made.judged == {"tiny": judged}
    assert {request.bands for request in made.base.requests if request.role == "select"} == {judged}
    assert {request.bands for request in place.final().requests if request.role == "select"} == {judged}
    for study in place.searched():
        assert (study.judged, study.weights, study.partition) == ({"tiny": judged}, "student", "default")
    for bands in (("s2_10", "rgb"), ("rgb",)):
        recipe = made.recipe(made.cells[0], {"student.bands": list(bands)} if "student.bands" in text else {})
        cell = made.cells[0].cell
        cell = type(cell)("trial 0", (), recipe, (1000,))
        plan = trial_plan(made.experiment, cell, made.aims, place.store, place.data, made.judged)
        assert [request.bands for request in plan.requests] == [judged]


def test_students_that_share_no_band_set_are_no_ranking(tmp_path: Path) -> None:
    place = Place(tmp_path, SWEEP + 'student.bands = [["s2_10"], ["rgb"]]\n')
    with pytest.raises(
        UserError, match=r"student\.bands: no band set is fed to every student that is tried \(rgb \| s2_10\)"
    ):
        place.sweep()
