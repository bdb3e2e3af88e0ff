"""A sweep whose studies are in no journal of the store: they are found, or it is said where they are; nothing goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deo_bench.cli.storage import STORAGE
from deo_bench.experiments.sweep import storage
from deo_bench.experiments.sweep.kept import FILE
from deo_bench.files import write_json
from tests.cli.stored import Call, files, typed
from tests.sweeping import SWEEP, Place


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return typed(capsys)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEO_BENCH_DATA", str(tmp_path / "data"))
    return Place(tmp_path, SWEEP.replace("trials = 4", "trials = 2"), f"sqlite:///{tmp_path}/elsewhere.db")


def swept(place: Place) -> list[str]:
    """Have every trial of the sweep done, as it would be told, without any training; the names of the runs."""
    made = place.sweep()
    (study,), names = made.studies(), []
    while (claimed := study.claim()) is not None:
        recipe = made.recipe(made.cells[0], claimed.settings)
        names.append(made.base.identifier.name(recipe, made.sweep.trial_seed))
        write_json(place.store / names[-1] / "recipe.json", made.base.identifier.contents(recipe))
        write_json(place.store / names[-1] / "run.json", {"state": "done", "seed": 1000, "steps": 6, "sizes": {}})
        claimed.note(names[-1])
        claimed.complete([0.5 + claimed.number / 10])
    return names


def test_pruning_without_the_address_says_where_they_are_and_deletes_nothing(place: Place, call: Call) -> None:
    names = swept(place)
    before = files(place.store)
    for words in (("runs", "prune", "--keep", "tiny.toml", "--yes", "--scores"), ("runs", "tiny.toml")):
        told = call(*words, status=2)
        assert told.count("\n") == 1 and "elsewhere.db" in told and "name that with --storage" in told
    told = call("plan", "tiny.toml", status=2)
    assert "elsewhere.db, not in runs/sweeps/tiny.journal" in told
    assert files(place.store) == before and len(names) == 2


@pytest.mark.parametrize("starts", ["journal", "sqlite"])
def test_a_sweep_begins_no_second_study_in_another_storage(place: Place, call: Call, starts: str) -> None:
    address = place.url
    place.url = None if starts == "journal" else address
    swept(place)
    path = place.store / "sweeps" / "tiny" / FILE
    before, there = files(place.store), path.read_text()
    words = ("--storage", str(address)) if starts == "journal" else ()
    told = call("sweep", "tiny.toml", "--plain", *words, status=2)
    pair = ("tiny.journal", "elsewhere.db") if starts == "journal" else ("elsewhere.db", "tiny.journal")
    assert told.count("\n") == 1 and f"{pair[0]}, not in " in told and pair[1] in told.partition(", not in ")[2]
    assert files(place.store) == before and (starts == "sqlite") == (place.folder / "elsewhere.db").exists()
    assert "to begin anew, take the study out of runs/sweeps/tiny/studies.json" in told
    place.url = address if starts == "journal" else None
    path.write_text("{}")
    assert place.sweep().studies_looked_for(anew=True) == [None] and there != "{}"


@pytest.mark.parametrize("way", ["--storage", "environment", "file"])
def test_with_the_address_its_runs_stay(place: Place, call: Call, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    names, words = swept(place), ["--storage", str(place.url)] if way == "--storage" else []
    if way == "environment":
        monkeypatch.setenv(STORAGE, str(place.url))
    if way == "file":
        place.file.write_text(SWEEP.replace("best = 1", f'best = 1\nstorage = "{place.url}"'))
    before = files(place.store)
    assert "nothing to prune" in call("runs", "prune", "--keep", "tiny.toml", "--yes", "--scores", *words)
    assert files(place.store) == before
    told = call("runs", "tiny.toml", *words)
    assert all(name in told for name in names) and "trial 1" in told


def test_of_two_sweeps_each_is_found_where_it_is(place: Place, call: Call) -> None:
    names = swept(place)
    (place.folder / "other.toml").write_text(SWEEP.replace("high = 3.0", "high = 2.0"))
    words = ("--keep", "tiny.toml", "--keep", "other.toml", "--yes", "--scores", "--storage", str(place.url))
    file, place.file, place.url = place.file, place.folder / "other.toml", None
    names += swept(place)
    assert "nothing to prune" in call("runs", "prune", *words)
    assert all((place.store / name / "run.json").exists() for name in names) and file.exists()


def test_where_it_was_worked_on_last_counts_for_pruning(place: Place, call: Call) -> None:
    address, place.url = place.url, None
    swept(place)
    place.url = address
    swept(place)
    told = call("runs", "prune", "--keep", "tiny.toml", "--yes", status=2)
    assert "elsewhere.db, not in runs/sweeps/tiny.journal" in told
    assert "2 of 4 trials" in call("plan", "tiny.toml", "--set", "sweep.trials=4"), "looking is not refused"


def test_no_login_is_put_down_and_a_torn_record_deletes_nothing(
    place: Place, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = storage.open_storage
    monkeypatch.setattr(storage, "open_storage", lambda url, *given: opened(None, *given))
    place.url = "postgresql://me:secret@host:5/studies"
    names = swept(place)
    path = place.store / "sweeps" / "tiny" / FILE
    assert list(json.loads(path.read_text()).values()) == ["postgresql://host:5/studies"]
    path.write_text('{"tiny')
    told = call("runs", "prune", "--keep", "tiny.toml", "--yes", status=2)
    assert FILE in told and told.count("\n") == 1 and all((place.store / name / "run.json").exists() for name in names)
