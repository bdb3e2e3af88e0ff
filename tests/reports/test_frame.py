"""A store becomes a tidy table, and what cannot be trusted is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import deo_bench
from deo_bench.reports.frame import COLUMNS, read_scores
from deo_bench.score import Score
from tests.reports.conftest import FakeStore, run_name


def test_a_row_has_a_scores_fields_then_run_seed_and_predictions(fake: FakeStore) -> None:
    path = fake.score(run_name("a", 7), chosen={"c": 0.1}, on_edge=True)
    fake.score("backbones/image_stats-0123456789ab", share=0.25, low=None, high=None)
    table = read_scores(fake.root)
    assert tuple(table.columns) == COLUMNS == (*Score.model_fields, "run", "seed", "path")
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
    "no number": (lambda record: {**record, "value": "0.5"}, "no number"),
    "not finite": (lambda record: {**record, "value": float("nan")}, "no number"),
    "words as interval": (lambda record: {**record, "low": "x"}, "no numbers"),
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
