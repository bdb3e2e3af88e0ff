"""`new` writes a part file and its test for every kind of part, and overwrites nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deo_bench.cli import main
from deo_bench.cli.names import plural
from deo_bench.declarations import KINDS
from deo_bench.engine import contract
from deo_bench.registry import Registry

ROOT = Path(__file__).parents[2]


def new(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["new", *arguments])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_part_has_a_template_that_is_a_part(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new(kind, "own_part") == 0
    part = tmp_path / KINDS[kind] / "own_part.py"
    registry = Registry([part])
    assert registry.load(kind, "own_part").__name__ == "OwnPart"
    if kind in contract.kinds():
        assert not [finding for finding in contract.check(registry, kind, "own_part") if finding.problem]


@pytest.mark.parametrize("kind", ["data", "task"])
def test_written_data_can_be_packed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deo_bench.data import Places

    monkeypatch.chdir(tmp_path)
    new(kind, "own_part")
    registry = Registry([tmp_path / KINDS[kind] / "own_part.py"])
    pack = registry.build(kind, "own_part").pack(Places(None, tmp_path / "cache"))
    assert len(pack) and pack.splits["fit"].size


def test_the_written_test_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    new("loss", "own_loss")
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "losses/test_own_loss.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert told.returncode == 0, told.stdout


def test_what_is_written_passes_lint_and_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("ruff") is None:
        pytest.skip("needs ruff")
    (tmp_path / "deo_bench").mkdir()
    (tmp_path / "deo_bench" / "registry.py").write_text('"""A checkout."""\n')
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for kind in KINDS:
        new(kind, f"own_{kind}")
        assert (tmp_path / "tests" / KINDS[kind] / f"test_own_{kind}.py").is_file(), plural(kind)
    for command in (["check"], ["format", "--check"]):
        told = subprocess.run(["ruff", *command, "--no-cache", "."], capture_output=True, text=True)
        assert told.returncode == 0, told.stdout


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert new("loss", "own_loss", "--into", "shelf") == 0
    written = {path: path.read_text() for path in (tmp_path / "shelf").iterdir()}
    assert len(written) == 2
    (tmp_path / "shelf" / "own_loss.py").write_text("mine")
    assert new("loss", "own_loss", "--into", "shelf") == 2
    assert (tmp_path / "shelf" / "own_loss.py").read_text() == "mine"
