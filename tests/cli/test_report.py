"""Reports of what was run with other settings than the file's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.stored import Call, Stored, typed


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return typed(capsys)


def test_what_was_run_with_other_settings_is_found_with_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(tmp_path)
    Stored(tmp_path).make("train.steps=4", seeds=(0,))
    (tmp_path / "answer.toml").write_text('title = "T"\nexperiment = "tiny.toml"\n')
    words = ("report", "answer.toml", "--data", "data", "--format", "csv")
    assert "not trained" in call(*words)
    assert "not trained" not in call(*words, "--set", "train.steps=4", "--seeds", "0")
    assert "did you mean 'steps'" in call(*words, "--set", "train.stepz=4", status=2)
