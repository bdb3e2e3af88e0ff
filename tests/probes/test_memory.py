"""Features that lie in a file stay there: no probe copies them whole, let alone in float64."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from deo_bench.probes.rows import Rows
from tests.probes.memory import PROBES, STATUS


@pytest.fixture(scope="module")
def held() -> dict[str, float]:
    """Sizes of the features that each probe held beyond them."""
    if not STATUS.exists() or "RssAnon" not in STATUS.read_text():
        pytest.skip("the kernel does not tell anonymous memory")
    # A fixed threshold: every array above it goes back when it is freed, where glibc would raise it as arrays come by.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    command, root = [sys.executable, "-m", "tests.probes.memory"], Path(__file__).parents[2]
    told = subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment, cwd=root)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


# Of the linear probe: the solver's own rotated copy in float32, and what a pass over it holds.
@pytest.mark.parametrize("probe", PROBES)
def test_no_probe_copies_what_lies_in_a_file(held, probe):
    assert held[probe] < (1.8 if probe.startswith("linear") else 0.5)


def test_the_measure_sees_a_copy(held):
    assert held["copy"] > 1.5


def test_rows_are_the_arrays_one_below_the_other(monkeypatch):
    draws = np.random.default_rng(0)
    parts = [draws.normal(3, 2, (size, 5)).astype(np.float32) for size in (7, 0, 4)]
    shift, scale = np.arange(5, dtype=np.float32), np.arange(1, 6, dtype=np.float32)
    expected = (np.concatenate(parts) - shift) / scale
    monkeypatch.setattr("deo_bench.probes.rows.BLOCK", 3)
    rows = Rows(parts, shift, scale)
    assert (len(rows), rows.shape, rows.size, rows.dtype) == (11, (11, 5), 55, np.float32)
    blocks = dict(rows.blocks())
    assert list(blocks) == [0, 3, 6, 9]
    assert np.array_equal(np.concatenate(list(blocks.values())), expected)
    assert np.array_equal(rows[5:9], expected[5:9])
    np.testing.assert_allclose(rows.mean(), expected.mean(0, dtype=float), rtol=1e-12)
    np.testing.assert_allclose(rows.spread(), expected.std(0, dtype=float), rtol=1e-12)


def test_a_block_is_a_copy(tmp_path):
    np.save(tmp_path / "features.npy", np.zeros((4, 3), np.float32))
    _, block = next(Rows([np.load(tmp_path / "features.npy", mmap_mode="r")]).blocks())
    assert block.flags.writeable and torch.from_numpy(block).dtype == torch.float32
