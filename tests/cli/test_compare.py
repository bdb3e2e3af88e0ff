"""`deo-bench compare`: in what two sides differ, by how much, and what may not be compared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.stored import Call, Stored, files, typed


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEO_BENCH_DATA", str(tmp_path / "data"))
    return Stored(tmp_path)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return typed(capsys)


@pytest.fixture
def two(stored: Stored) -> tuple[list[str], list[str]]:
    """Runs of both cells: the first better by far on `cover`, alike on `uses`."""
    made = stored.make()
    better, worse = made["weight=1.0"], made["weight=0.0"]
    for seed in (0, 1):
        stored.scores.score(better[seed], "cover", 0.8 + 0.01 * seed)
        stored.scores.score(worse[seed], "cover", 0.5 + 0.01 * seed)
        stored.scores.score(better[seed], "uses", 0.5 + 0.01 * seed)
        stored.scores.score(worse[seed], "uses", 0.51 - 0.01 * seed)
    return better, worse


def as_json(told: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told)
    return found


def test_two_recipes_by_their_digits(stored: Stored, two: tuple[list[str], list[str]], call: Call) -> None:
    better, worse = (runs[0][:12] for runs in two)
    stored.mark(two[1][0], marks=["collapsed"])
    told = call("compare", better, worse)
    assert f"A  {better}; seeds 0, 1\n" in told and f"B  {worse}; seeds 0, 1; collapsed (1 of 2 runs)\n" in told
    lines = {line.split()[0]: line.split() for line in told.splitlines() if line.strip()}
    assert lines["objective.expand"][1:] == ["coding_rate", "toward", "spectral", "—"]
    assert sum(line.startswith(("objective", "train", "student", "views")) for line in told.splitlines()) == 1
    assert lines["cover"][2:5] == ["80.4", "50.4", "+30.0"] and lines["cover"][-1] == "A"
    assert lines["uses"][-1] == "unresolved"
    assert "Paired by seed (0, 1) and by test image: all." in told and "2 differences, none corrected" in told
    turned = call("compare", worse, better)
    cover = next(line.split() for line in turned.splitlines() if line.startswith("cover"))
    assert cover[2:5] == ["50.4", "80.4", "-30.0"] and cover[-1] == "B"


def test_for_a_machine(stored: Stored, two: tuple[list[str], list[str]], call: Call) -> None:
    told = as_json(call("compare", two[0][0][:12], two[1][0][:12], "--json"))
    assert [run["seed"] for run in told["A"]["runs"]] == [0, 1] and told["B"]["digest"] == two[1][0][:12]
    (difference,) = told["recipe"]
    assert difference["path"] == "objective.expand" and difference["A"]["loss"] == "coding_rate"
    assert "B" not in difference
    cover = next(score for score in told["scores"] if score["task"] == "cover")
    assert cover["pairing"] == "paired" and cover["seeds"] == [0, 1] and cover["better"] == "A"
    assert cover["difference"] == pytest.approx(0.3, abs=0.01) and cover["low"] < 0.3 < cover["high"]
    assert next(score for score in told["scores"] if score["task"] == "uses")["better"] is None


def test_one_run_by_the_start_of_its_name_is_of_that_run_alone(
    stored: Stored, two: tuple[list[str], list[str]], call: Call
) -> None:
    shutil.copytree(stored.root / two[0][1], stored.root / f"{two[0][1]}0")  # …-s1 is the start of …-s10
    told = call("compare", two[0][1], two[1][1])
    assert f"A  {two[0][1]}; seed 1\n" in told
    assert "One common seed (1), over test images only: it speaks of these runs" in told
    assert as_json(call("compare", two[0][0][:5], two[1][0][:5], "--json"))["scores"][0]["seeds"] == [0, 1]


def test_runs_without_a_common_seed_are_unpaired_and_it_says_so(
    stored: Stored, two: tuple[list[str], list[str]], call: Call
) -> None:
    told = call("compare", two[0][0], two[0][1])
    assert "the recipes are the same" in told and "No common seed" in told
    (first, *_) = as_json(call("compare", two[0][0], two[1][1], "--json"))["scores"]
    assert (first["pairing"], first["seeds"]) == ("unpaired", [])


def test_only_common_seeds_count(stored: Stored, two: tuple[list[str], list[str]], call: Call) -> None:
    better, worse = two
    (stored.root / worse[0] / "scores").rename(stored.root / "elsewhere")
    cover = as_json(call("compare", better[0][:12], worse[0][:12], "--json"))["scores"][0]
    assert cover["seeds"] == [1] and cover["A"] == pytest.approx(0.81, abs=0.005)
    assert cover["notes"] == ["B: 1 of 2 runs (seed 0: not evaluated)"]


def test_files_and_cells(stored: Stored, two: tuple[list[str], list[str]], call: Call) -> None:
    told = call("compare", "tiny.toml#1", "tiny.toml#weight=1.0")
    assert f"A  tiny: weight=0.0; {two[1][0][:12]}; seeds 0, 1\n" in told and "-30.0" in told
    assert call("compare", two[1][0][:12], "tiny.toml#2").count("+30.0") + told.count("-30.0") == 1
    before = files(stored.folder)
    told = call("compare", "quickstart#spectral=ema, optical=none", "deo-tiny")
    assert "B  deo-tiny; " in told and "none of its runs is in runs" in told
    assert files(stored.folder) == before


def test_a_recipe_whose_weights_are_not_here_is_still_described(
    stored: Stored, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(stored.folder / "hub"))
    monkeypatch.delenv("DEO_BENCH_DATA")
    told = call("compare", "tiny.toml#1", "tiny.toml#2")
    assert "objective.expand" in told and "its runs cannot be named here: " in told and "say --data FOLDER" in told


def test_what_was_made_otherwise_is_told_and_not_compared(stored: Stored, call: Call) -> None:
    made = stored.make(seeds=(0,))
    a, b = made["weight=1.0"][0], made["weight=0.0"][0]
    stored.scores.score(a, "cover", 0.9, protocol="tgb-v0.4")
    stored.scores.score(b, "cover", 0.1)
    told = call("compare", a, b)
    cause = "1 score under tgb-v0.4: B is scored under scenes-v1: protocols are never mixed"
    assert f"{cause} (cover; s2_10; student; knn5_l2)" in told and "80.0" not in told
    told = as_json(call("compare", a, b, "--json"))
    assert told["scores"] == [] and {one["protocol"] for one in told["not_compared"]} == {"tgb-v0.4", "scenes-v1"}


def test_one_cause_is_one_line(stored: Stored, call: Call) -> None:
    made = stored.make(seeds=(0,))
    a, b = made["weight=1.0"][0], made["weight=0.0"][0]
    for step in (None, 3, 6):
        for task in ("cover", "parcels"):
            stored.scores.score(a, task, 0.9, protocol="tgb-v0.4", step=step)
            stored.scores.score(a, task, 0.9, step=step)
            stored.scores.score(b, task, 0.1, step=step)
    said = call("compare", a, b)
    lines = said.partition("not compared\n")[2].splitlines()
    assert lines == [
        "  4 scores under tgb-v0.4: B is scored under scenes-v1: protocols are never mixed "
        "(cover, parcels; s2_10; student; the last step, step 3; knn5_l2)"
    ]
    assert "4 differences" in said and "of step 3" in said and "of step 6" not in said


def test_partitions_and_kept_steps_are_compared_each_with_its_own(stored: Stored, call: Call) -> None:
    made = stored.make(seeds=(0,))
    a, b = made["weight=1.0"][0], made["weight=0.0"][0]
    for run, share in ((a, 0.7), (b, 0.4)):
        stored.scores.score(run, "cover", share, partition="0.01x")
        stored.scores.score(run, "cover", share - 0.1, step=3)
    told = as_json(call("compare", a, b, "--json"))
    found = {(score["partition"], score["step"]): score["A"] for score in told["scores"]}
    assert found == {("0.01x", None): pytest.approx(0.7), ("default", 3): pytest.approx(0.6)}
    said = call("compare", a, b)
    assert "student weights of step 3" in said and "partition 0.01x" in said


def test_a_torn_score_is_named_and_not_used(stored: Stored, two: tuple[list[str], list[str]], call: Call) -> None:
    path = next((stored.root / two[0][0] / "scores").glob("cover*.npz"))
    path.write_bytes(b"torn")
    told = call("compare", two[0][0], two[1][0])
    assert f"not used: {two[0][0]}/scores/cover" in told and "A: predictions missing or torn" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("{a}x", "{b}"), "unknown run, recipe or experiment"),
        (("0000000", "{b}"), "unknown run, recipe or experiment '0000000'"),
        (("quickstrat", "{b}"), "did you mean 'quickstart'?"),
        (("gone.toml", "{b}"), "gone.toml: there is no such file"),
        (("tiny.toml", "{b}"), "tiny.toml has 2 cells; name one as tiny#NUMBER or #LABEL (1: weight=0.0; 2: "),
        (("tiny.toml#3", "{b}"), "tiny.toml: no cell '3'"),
        (("tiny.toml#weight", "{b}"), "tiny.toml: 2 cells with 'weight'"),
        (("{b}", "{b}"), "are the same run: "),
    ],
)
def test_a_mistake_is_one_line_and_status_two(
    two: tuple[list[str], list[str]], call: Call, words: tuple[str, str], told: str
) -> None:
    said = call("compare", *(word.format(a=two[0][0], b=two[1][0]) for word in words), status=2)
    assert said.startswith("error: ") and told in said and said.count("\n") == 1


def test_the_nearest_run_is_named(two: tuple[list[str], list[str]], call: Call) -> None:
    name = two[0][0]
    wrong = name[:5] + ("0" if name[5] != "0" else "1")
    assert f"did you mean '{name[:12]}-s" in call("compare", wrong, two[1][0], status=2)


def test_it_loads_no_torch(two: tuple[list[str], list[str]]) -> None:
    code = f"""
import sys
from deo_bench.cli import main
try:
    main(["compare", {two[0][0]!r}, {two[1][0]!r}])
except SystemExit as end:
    assert not end.code
sys.exit("loaded torch" if "torch" in sys.modules else 0)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert told.returncode == 0 and "cover" in told.stdout, told.stderr
