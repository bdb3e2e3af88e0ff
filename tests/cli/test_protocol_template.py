"""A protocol of one's own, as `new` writes it, resolves like one of the project's."""

from __future__ import annotations

from pathlib import Path

import pytest

from deo_bench.cli import main
from deo_bench.probes.record import resolve
from deo_bench.registry import Registry


def test_a_written_protocol_resolves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["new", "protocol", "own_protocol"])
    registry = Registry([tmp_path / "probes" / "own_protocol.py"])
    record = resolve("own_protocol", registry)
    assert record.id == "own_protocol" and list(record.probes) == ["knn5_l2", "linear"]
    other = resolve({"use": "own_protocol", "size": 96}, registry)
    assert other.id == f"custom-{other.content}" and other.size == 96
