"""A store becomes a tidy table, and what cannot be trusted is named."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import deo_bench
from deo_bench.reports.answer import make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.frame import COLUMNS, read_scores
from deo_bench.reports.spec import ReportSpec
from deo_bench.score import Score
from tests.reports.conftest import FakeStore, run_name


def test_a_row_has_a_scores_fields_then_run_seed_and_predictions(fake: FakeStore) -> None:
    path = fake.score(run_name("a", 7), chosen={"c": 0.1}, on_edge=True)
    fake.score("backbones/image_stats-0123456789ab", share=0.25, low=None, high=None)
    table = read_scores(fake.root)
    fields = tuple(name for name in Score.model_fields if name != "role")  # here all are on the report split
    assert tuple(table.columns) == COLUMNS == (*fields, "run", "seed", "path")
    ours, other = table.iloc[0], table.iloc[1]
    assert (ours["run"], ours["seed"], ours["path"]) == (run_name("a", 7)[:12], 7, str(path.with_suffix(".npz")))
    assert (ours["value"], ours["n"], ours["chosen"], ours["on_edge"]) == (0.5, 120, {"c": 0.1}, True)
    assert table[["run", "seed", "low", "high"]].isna().iloc[1].all(), "what does not exist is none, never zero"
    assert other["subject"] == "backbones/image_stats-0123456789ab"
    assert Score(**json.loads(path.read_text())).stem == path.stem


def test_what_is_no_score_is_passed_over(fake: FakeStore) -> None:
    path = fake.score(run_name("a", 0))
    (path.parent / f".{path.name}.tmp.json").write_text("{")
    (path.parent / "lease").mkdir()
    (fake.root / "cache" / "scores").mkdir(parents=True)
    (fake.root / "cache" / "scores" / "x.json").write_text("{")
    problems: list[str] = []
    assert len(read_scores(fake.root, problems)) == 1
    assert not problems


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    table = deo_bench.scores(tmp_path / "nothing")
    assert len(table) == 0
    assert tuple(table.columns) == COLUMNS


def test_left_out_fields_have_their_defaults(fake: FakeStore) -> None:
    path = fake.score(run_name("a", 0))
    record = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in record.items() if name not in ("partition", "chosen")}))
    assert read_scores(fake.root).iloc[0]["partition"] == "default"


BROKEN: dict[str, tuple[Any, str]] = {
    "torn": (lambda record: '{"subject": "a', "torn"),
    "a list": (lambda record: "[1]", "lacks everything"),
    "a lack": (lambda record: {name: value for name, value in record.items() if name != "n"}, "lacks n"),
    "another version": (lambda record: {**record, "colour": 1}, "unknown colour"),
    "another run's": (lambda record: {**record, "subject": run_name("b", 0)}, "belongs to"),
    "another name": (lambda record: {**record, "task": "moist"}, "name"),
    "words as value": (lambda record: {**record, "value": "0.5"}, "its value has to be a number, got '0.5'"),
    "words as interval": (lambda record: {**record, "low": "x"}, "its low has to be a number"),
    "a list as protocol": (lambda record: {**record, "protocol": ["x"]}, "its protocol has to be a text"),
    "half a step": (lambda record: {**record, "step": 0.5}, "its step has to be an integer"),
    "yes as groups": (lambda record: {**record, "num_groups": True}, "its num_groups has to be an integer"),
    "no such direction": (lambda record: {**record, "direction": "up"}, "its direction has to be 'max' or 'min'"),
    "not finite": (lambda record: {**record, "value": math.nan}, "no number"),
    "no end": (lambda record: {**record, "high": math.inf}, "an end that is no number"),
    "upside down": (lambda record: {**record, "low": 0.6, "high": 0.4}, "ends before it begins"),
    "value beyond all": (lambda record: {**record, "value": 10**400}, "no number"),
    "n beyond all": (lambda record: {**record, "n": 2**63}, "no number"),
    "step beyond all": (lambda record: {**record, "step": -(2**63)}, "no numbers"),
    "half a letter": (lambda record: {**record, "bands": "\ud800"}, "torn"),
    "too deep": (lambda record: "[" * 60_000, "torn"),
    "too large": (lambda record: {**record, "chosen": {"c": "x" * (1 << 16)}}, "torn"),
    "line breaks": (lambda record: {**record, "a\nb": 1}, r"unknown a\nb"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_corrupt_score_is_named_not_fatal(fake: FakeStore, how: str) -> None:
    path = fake.score(run_name("a", 0))
    fake.score(run_name("a", 1))
    change, word = BROKEN[how]
    changed = change(json.loads(path.read_text()))
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    problems: list[str] = []
    assert read_scores(fake.root, problems)["seed"].tolist() == [1]
    assert len(problems) == 1
    assert word in problems[0]
    assert problems[0].startswith(f"{run_name('a', 0)}/scores/{path.name}")


def test_bytes_that_are_no_text_are_named(fake: FakeStore) -> None:
    fake.score(run_name("a", 0)).write_bytes(b"\xff\xfe\x00")
    problems: list[str] = []
    assert len(read_scores(fake.root, problems)) == 0
    assert "torn" in problems[0]


def test_only_the_subjects_asked_for_are_read(fake: FakeStore) -> None:
    for label in "ab":
        fake.score(run_name(label, 0))
    fake.score(run_name("c", 0)).write_text("{")
    fake.score("backbones/x-0123456789ab")
    problems: list[str] = []
    wanted = ["backbones/x-0123456789ab", run_name("b", 0), run_name("b", 0), run_name("z", 0)]
    table = read_scores(fake.root, problems, wanted)
    assert table["subject"].tolist() == [run_name("b", 0), "backbones/x-0123456789ab"]
    assert not problems
    every = read_scores(fake.root)
    assert table.equals(every[every["subject"].isin(wanted)].reset_index(drop=True))
    assert read_scores(fake.root, problems, [run_name("c", 0)]).empty and len(problems) == 1


def test_what_stands_in_the_place_of_files_and_folders_is_named(fake: FakeStore) -> None:
    folder = fake.score(run_name("a", 0)).parent
    (folder / "folder.json").mkdir()
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "nowhere.json").symlink_to("nobody")
    (folder / "a\nb.json").write_text("{")
    os.mkfifo(folder / "pipe.json")
    (fake.root / run_name("loop", 0)).symlink_to(run_name("loop", 0))
    (fake.root / run_name("file", 0)).mkdir()
    (fake.root / run_name("file", 0) / "scores").write_text("")
    problems: list[str] = []
    assert read_scores(fake.root, problems)["subject"].tolist() == [run_name("a", 0)]
    here = f"{run_name('a', 0)}/scores"
    assert sorted(line.partition(": not used, ")[0] for line in problems) == sorted(
        [f"{here}/{name}.json" for name in ("folder", "loop", "nowhere", "pipe", r"a\nb")]
        + [run_name("loop", 0), f"{run_name('file', 0)}/scores"]
    )
    assert all(line.partition(": not used, ")[2] for line in problems), "each with its reason"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_folder_that_may_not_be_read_is_named(fake: FakeStore) -> None:
    folder = fake.score(run_name("a", 0)).parent
    fake.score(run_name("b", 0))
    folder.chmod(0)
    problems: list[str] = []
    assert len(read_scores(fake.root, problems)) == 1
    folder.chmod(0o700)
    assert problems == [f"{run_name('a', 0)}/scores: not used, Permission denied"]


def test_a_folder_that_the_system_refuses_is_named(fake: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = str(fake.score(run_name("a", 0)).parent)
    fake.score(run_name("b", 0))
    listdir = os.listdir

    def refusing(folder: str) -> list[str]:
        if folder == refused:
            raise PermissionError(13, "Permission denied", folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refusing)
    problems: list[str] = []
    assert len(read_scores(fake.root, problems)) == 1
    assert problems == [f"{run_name('a', 0)}/scores: not used, Permission denied"]


def test_a_store_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    problems: list[str] = []
    assert read_scores(tmp_path / "runs", problems).empty
    assert problems and all("Not a directory" in line for line in problems)


changes = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(["put", "cut", "add", "end"]), st.integers(0, 255)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(changes)
def test_a_changed_score_file_is_used_as_it_says_or_named(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, str, int]]
) -> None:
    fake = FakeStore(tmp_path_factory.mktemp("store"))
    path = fake.score(run_name("a", 0), size=4, chosen={"c": 0.1})
    content = bytearray(path.read_bytes())
    for at, how, byte in made:
        at %= len(content) + 1
        content[at : at + (how in ("put", "cut"))] = bytes([byte] * (how in ("put", "add")))
        del content[at if how == "end" else len(content) :]
    path.write_bytes(content)
    problems: list[str] = []
    table = read_scores(fake.root, problems)
    assert len(table) + len(problems) == 1
    if len(table):
        said = Score.model_validate_json(bytes(content))
        for name, value in said.model_dump().items():
            found = table.iloc[0][name]
            assert pd.isna(found) if value is None else found == value, name
    else:
        assert problems[0].startswith(f"{run_name('a', 0)}/scores/{path.name}: not used, ")
        with pytest.raises((ValidationError, AssertionError)):
            sound = Score.model_validate_json(bytes(content), strict=True)
            assert sound.subject == run_name("a", 0) and f"{sound.stem}.json" == path.name
            assert abs(sound.value) < 2**53 and 0 < sound.n < 2**53
            assert sound.low is None or sound.high is None or -(2**53) < sound.low <= sound.high < 2**53
            assert abs(sound.step or 0) < 2**53 and abs(sound.num_groups or 0) < 2**53


def test_everything_broken_at_once_is_named_and_the_rest_stands(fake: FakeStore, scope: Scope) -> None:
    """A store with one of every fault: a report of it has the sound scores, and a line for each of the others."""
    rows = [fake.cell(label, [0.5, 0.6]) for label in ("whole", "torn", "foreign", "folder", "short", "others")]

    def file(label: str, seed: int, suffix: str = ".json") -> Path:
        return next((fake.root / run_name(label, seed) / "scores").glob(f"*{suffix}"))

    file("torn", 0).write_bytes(file("torn", 0).read_bytes()[:100])
    (file("whole", 0).parent / "notes.json").write_text('{"mine": 1}')
    file("foreign", 0).write_text('{"mine": 1}')
    path = file("folder", 0)
    path.unlink()
    path.mkdir()
    predictions = file("short", 0, ".npz")
    predictions.write_bytes(predictions.read_bytes()[:-30])
    with np.load(file("others", 1, ".npz")) as arrays:
        turned = {name: arrays[name][::-1] for name in arrays}
    np.savez(file("others", 0, ".npz"), **turned)
    record = json.loads(file("others", 1).read_text())
    file("others", 0).write_text(json.dumps({**json.loads(file("others", 0).read_text()), "value": record["value"]}))
    entries: list[Entry] = [*rows, Entry("loop", "cell", [(0, run_name("loop", 0))])]
    (fake.root / run_name("loop", 0)).symlink_to(run_name("loop", 0))

    answer = make_answer(ReportSpec(baseline="whole"), entries, scope, fake.root)
    counts = {row.label: row.cells[0].estimate for row in answer.tables[0].rows}
    assert {label: found.seeds if found else 0 for label, found in counts.items()} == {
        "whole": 2, "torn": 1, "foreign": 1, "folder": 1, "short": 1, "others": 1, "loop": 0,
    }  # fmt: skip
    named = dict(line.split(": not used, ") for line in answer.problems)
    assert all(named.values()) and len(named) == len(answer.problems)
    assert {place.split("/")[0] for place in named} == {
        run_name(label, 0) for label in ("whole", "torn", "foreign", "folder", "short", "others", "loop")
    }
    expected = {
        file("torn", 0): "it is torn or no JSON",
        path: "Is a directory",
        file("short", 0): "its predictions are torn or foreign",
        file("others", 0): "its test images are not those of the other rows",
    }
    assert {str(each.relative_to(fake.root)): reason for each, reason in expected.items()}.items() <= named.items()
