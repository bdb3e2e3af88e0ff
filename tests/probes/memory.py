"""Anonymous memory that probes hold, measured in a process of its own: `python -m tests.probes.memory` prints JSON.

An interpreter that has run for long holds freed memory which new arrays fall into unseen, and holes that it cannot
give back; neither is there in a fresh one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from deo_bench.probes import Fit, Probe, Select, checks, knn, rows
from deo_bench.probes.knn import Knn
from deo_bench.probes.linear import Linear

ROWS, WIDTH, REPORT = 180_000, 64, 200
SIZE = ROWS * WIDTH * 4
"""Bytes of the features in float32."""
STATUS = Path("/proc/self/status")
PROBES: dict[str, Probe] = {
    "knn": Knn(k=5),
    "knn-cosine": Knn(k=20, metric="cosine", vote="weighted"),
    "linear": Linear(num_c=1, log10_low=-3, log10_high=-3),
    "linear-standardised": Linear(num_c=1, log10_low=-3, log10_high=-3, standardise=True),
}


def peak(once: Callable[[], object]) -> float:
    """Anonymous memory that was held at the most beyond that before, in sizes of the features."""

    def held() -> int:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

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
    return (max(seen) - before) / SIZE


def run(probe: Probe, features: np.ndarray, labels: np.ndarray) -> None:
    at = len(features) - REPORT
    valid = at - at // 4
    fit, select = Fit(features[:valid], labels[:valid]), Select(features[valid:at], labels[valid:at])
    probe.predict(fit, select, features[at:], 2, True)


def copied(features: np.ndarray) -> np.ndarray:
    held = features.astype(np.float64)
    time.sleep(0.3)  # the copy itself may let no other thread look
    return held


def main() -> None:
    # Blocks as small, beside these features, as they are beside a million rows.
    rows.BLOCK = checks.BLOCK = knn.BANK = 1024
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        path = Path(folder) / "features.npy"
        values = draws.standard_normal((ROWS, WIDTH), dtype=np.float32)
        labels = (values[:, :2] + draws.gumbel(size=(ROWS, 2))).argmax(1)
        np.save(path, values)
        del values
        features = np.load(path, mmap_mode="r")
        found = {"copy": peak(lambda: copied(features))}
        for name, probe in PROBES.items():
            run(probe, features[:4000], labels[:4000])
            found[name] = peak(lambda probe=probe: run(probe, features, labels))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
