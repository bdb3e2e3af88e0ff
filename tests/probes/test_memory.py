"""Features that lie in a file stay there: no probe copies them whole, let alone in float64."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from deo_bench.probes import Fit, Probe, Select
from deo_bench.probes.knn import Knn
from deo_bench.probes.linear import Linear
from deo_bench.probes.rows import Rows

ROWS, WIDTH, REPORT = 180_000, 64, 200
SIZE = ROWS * WIDTH * 4
"""Bytes of the features in float32: so many that the allocator gives every copy back, which it does above 32 MiB."""

STATUS = Path("/proc/self/status")
pytestmark = pytest.mark.skipif(
    not STATUS.exists() or "RssAnon" not in STATUS.read_text(), reason="the kernel does not tell anonymous memory"
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks as small, beside these features, as they are beside a million rows; and one thread."""
    monkeypatch.setattr("deo_bench.probes.rows.BLOCK", 1024)
    monkeypatch.setattr("deo_bench.probes.checks.BLOCK", 1024)
    monkeypatch.setattr("deo_bench.probes.knn.BANK", 1024)
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("large") / "features.npy"
    values = draws.standard_normal((ROWS, WIDTH), dtype=np.float32)
    labels = (values[:, :2] + draws.gumbel(size=(ROWS, 2))).argmax(1)
    np.save(path, values)
    return np.load(path, mmap_mode="r"), labels


def peak(once: Callable[[], object]) -> int:
    """Bytes of anonymous memory that were held at the most beyond those before."""

    def held() -> int:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    _give_back()
    done, seen, before = threading.Event(), [], held()

    def look() -> None:
        while not done.wait(0.001):
            seen.append(held())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        once()
    finally:
        done.set()
        thread.join()
    assert len(seen) > 5, "too few looks to say anything"
    return max(seen) - before


def _give_back() -> None:
    """What the allocator keeps of freed memory goes back: a copy that fits into it would not be seen."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def run(probe: Probe, features: np.ndarray, labels: np.ndarray) -> None:
    at = len(features) - REPORT
    valid = at - at // 4
    fit, select = Fit(features[:valid], labels[:valid]), Select(features[valid:at], labels[valid:at])
    probe.predict(fit, select, features[at:], 2, True)


# Of the linear probe: the solver's own rotated copy in float32, and what a pass over it holds.
@pytest.mark.parametrize(
    ("probe", "share"),
    [
        (Knn(k=5), 0.5),
        (Knn(k=20, metric="cosine", vote="weighted"), 0.5),
        (Linear(num_c=1, log10_low=-3, log10_high=-3), 1.8),
        (Linear(num_c=1, log10_low=-3, log10_high=-3, standardise=True), 1.8),
    ],
    ids=["knn", "knn-cosine", "linear", "linear-standardised"],
)
def test_no_probe_copies_what_lies_in_a_file(features, probe, share):
    run(probe, features[0][:4000], features[1][:4000])
    assert peak(lambda: run(probe, *features)) < share * SIZE


def test_the_measure_sees_a_copy(features):
    def copied() -> np.ndarray:
        held = features[0].astype(np.float64)
        time.sleep(0.3)  # the copy itself may let no other thread look
        return held

    assert peak(copied) > 1.5 * SIZE


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


def test_a_block_is_a_copy(features):
    _, block = next(Rows([features[0]]).blocks())
    assert block.flags.writeable and torch.from_numpy(block).dtype == torch.float32
