"""A folder with data and an experiment, to type commands in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import write_npz
from tests.wrong.typed import TINY


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny data; to be read, not changed."""
    folder = tmp_path_factory.mktemp("images")
    write_npz(folder, count=48)
    return folder


@pytest.fixture
def folder(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `tiny.toml` and `data`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(images)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path
