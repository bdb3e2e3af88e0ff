"""The wheel alone, in an empty folder, knows the quickstart and can plan it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WheelBuilder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel holds."""
    place = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(place), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    return place / "site"


def call(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DEO_BENCH", "GEO_BENCH"))}
    environment["PYTHONPATH"] = str(site)
    return subprocess.run(
        [sys.executable, "-m", "deo_bench", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_wheel_holds_code_and_presets_and_nothing_else(site: Path) -> None:
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    ours = {file for file in files if ".dist-info/" not in file}
    assert {file.split("/")[0] for file in ours} == {"deo_bench"}
    assert {"deo_bench/py.typed", "deo_bench/presets/experiments/quickstart.toml"} <= ours
    assert "deo_bench/presets/experiments/recipes/deo-tiny.toml" in ours
    assert any(file.startswith("deo_bench/presets/reports/") for file in ours)
    assert "deo_bench/reports/published/sources/deo.toml" in ours
    assert not [file for file in ours if "__pycache__" in file or "/runs/" in file]
    assert any(file.endswith("licenses/LICENSE") for file in files)


def test_it_is_the_wheel_that_is_imported(site: Path, tmp_path: Path) -> None:
    code = "import deo_bench; print(deo_bench.__file__)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert Path(told.stdout.strip()) == site / "deo_bench" / "__init__.py"


def test_an_empty_folder_lists_and_shows_the_presets(site: Path, tmp_path: Path) -> None:
    told = call(site, tmp_path, "list", "experiments")
    assert told.returncode == 0 and "  quickstart " in told.stdout, told.stderr
    told = call(site, tmp_path, "show", "deo-tiny")
    assert told.returncode == 0 and "[train]" in told.stdout, told.stderr


def test_an_empty_folder_plans_the_quickstart(site: Path, tmp_path: Path) -> None:
    told = call(site, tmp_path, "plan", "quickstart")
    assert told.returncode == 0, told.stderr
    assert "to train" in told.stdout
    assert not (tmp_path / "deo_bench").exists() and not (tmp_path / "experiments").exists()


def test_an_empty_folder_gets_a_new_part(site: Path, tmp_path: Path) -> None:
    told = call(site, tmp_path, "new", "loss", "own_loss")
    assert told.returncode == 0, told.stderr
    assert {path.name for path in (tmp_path / "losses").iterdir()} == {"own_loss.py", "test_own_loss.py"}
