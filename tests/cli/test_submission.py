"""`deo-bench submission` finds an experiment's scores, writes a folder, and replaces its own alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.cli.stored import Call, Stored, typed

CHOSEN = {"learning_rate": 1e-4, "batch": 8, "weight_decay": 0.01}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return typed(capsys)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Two cells of five seeds, each with a score on the one data set."""
    place = Stored(tmp_path)
    path = tmp_path / "tiny.toml"
    text = (
        path.read_text()
        .replace('name = "tiny"', 'name = "so2sat"')
        .replace("seeds = [0, 1]", "seeds = [0, 1, 2, 3, 4]")
    )
    text = text.replace('["image_stats", "majority", "untrained"]', '["majority"]')
    path.write_text(text.replace('["scenes-v1"]', '["gb2-hpo16", "scenes-v1"]'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEO_BENCH_DATA", str(tmp_path / "data"))
    for request in place.plan().requests:
        if "-s" in request.subject and "/" not in request.subject:
            fields: dict[str, Any] = {"protocol": request.protocol.id, "bands": request.bands}
            share = 0.5 if request.protocol.id == "gb2-hpo16" else 0.1
            place.scores.score(
                request.subject, "so2sat", share, probe=request.probe, digest=request.digest, chosen=CHOSEN, size=20,
                **fields,
            )  # fmt: skip
    return place


def rows(folder: str) -> list[dict[str, str]]:
    with Path(folder, "results_and_parameters.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_experiments_scores_are_written(stored: Stored, call: Call) -> None:
    said = call("submission", "tiny.toml")
    assert "submissions/tiny: 10 rows; fill in additional_info.json" in said
    assert "note: the leaderboard lists classification where all of it is there" in said
    found = rows("submissions/tiny")
    assert {row["test metric"] for row in found} == {"0.5"}, "scores under another protocol are none of it"
    assert [row["Seed"] for row in found] == [*"01234"] * 2
    assert len({row["backbone"] for row in found}) == 2
    assert sorted(path.name for path in Path("submissions/tiny").iterdir()) == [
        "additional_info.json",
        "results_and_parameters.csv",
    ]
    call("submission", "tiny.toml", "--frozen", "--to", "submissions/tiny", "--force")
    assert {row["frozen_or_full_ft"] for row in rows("submissions/tiny")} == {"frozen"}
    Path("submissions/tiny/thesis.tex").write_text("mine")
    assert "holds thesis.tex" in call("submission", "tiny.toml", "--force", status=2)


def test_what_is_refused_writes_nothing(stored: Stored, call: Call) -> None:
    path = Path("tiny.toml")
    text = path.read_text()
    path.write_text(text.replace('["gb2-hpo16", "scenes-v1"]', '["scenes-v1"]'))
    said = call("submission", "tiny.toml", status=2)
    assert 'asks for scores under scenes-v1; a submission takes protocols = ["gb2-hpo16"]' in said
    path.write_text(text.replace("[0, 1, 2, 3, 4]", "[0, 1]"))
    assert "has scores of seeds 0, 1 on so2sat" in call("submission", "tiny.toml", status=2)
    assert "there are student and ema" in call("submission", "tiny.toml", "--weights", "teacher", status=2)
    assert not Path("submissions").exists()
    call("submission", "tiny.toml", "--allow-fewer", "--to", "few")
    assert len(rows("few")) == 4
    assert "say --force to replace a submission" in call("submission", "tiny.toml", "--to", "few", status=2)
