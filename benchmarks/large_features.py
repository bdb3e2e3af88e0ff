"""Features larger than memory should hold: a million rows, memory-mapped, through kNN and one C of the linear probe."""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch

from deo_bench.probes import Fit, Probe, Select
from deo_bench.probes.knn import Knn
from deo_bench.probes.linear import Linear

LIMIT = 8.0
"""GiB of anonymous memory that nothing here may reach."""


def anonymous() -> float:
    """GiB of memory that no file stands behind, from `/proc`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 2**20
    raise OSError("this kernel does not tell RssAnon")


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """The peak of anonymous memory in GiB, looked at fifty times a second, the seconds, and those of the processor."""
    told, done = {"peak": anonymous()}, threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            told["peak"] = max(told["peak"], anonymous())

    thread = threading.Thread(target=look, daemon=True)
    began = time.perf_counter(), time.process_time()
    thread.start()
    try:
        yield told
    finally:
        done.set()
        thread.join()
        told["wall"], told["busy"] = time.perf_counter() - began[0], time.process_time() - began[1]


def write(path: Path, rows: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """A file of features [rows, width], written by blocks and opened as a memory map, and labels not separable."""
    draws = np.random.default_rng(0)
    kept = np.lib.format.open_memmap(path, "w+", np.float32, (rows, width))
    teacher = draws.standard_normal((width, classes)) * 2 / np.arange(1, width + 1)[:, None] ** 0.75
    scale = (1 / np.arange(1, width + 1) ** 0.5).astype(np.float32)
    labels = np.empty(rows, np.int64)
    for at in range(0, rows, 16_384):
        latent = draws.standard_normal((min(16_384, rows - at), width), dtype=np.float32)
        labels[at : at + len(latent)] = (latent @ teacher + draws.gumbel(size=(len(latent), classes))).argmax(1)
        kept[at : at + len(latent)] = latent * scale + 1
    kept.flush()
    del kept
    return np.load(path, mmap_mode="r"), labels


def main() -> None:
    """Measure, print the evidence, and end with status 1 where memory was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", help="where the file is written, and removed; it needs rows x width x 4 bytes")
    parser.add_argument("--only", nargs="*", default=["knn", "linear", "standardised"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    one = {"num_c": 1, "log10_low": 0.0, "log10_high": 0.0}
    probes: dict[str, Probe] = {
        "knn": Knn(k=5),
        "linear": Linear(**one),
        "standardised": Linear(**one, standardise=True),
    }
    highest = 0.0
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        features, labels = write(Path(folder) / "features.npy", given.rows, given.width, given.classes)
        at = given.rows - given.queries
        valid = at - given.queries
        for name in given.only:
            # The linear probes merge fit and select, so both ways to hold a second copy are open.
            fit, select = Fit(features[:valid], labels[:valid]), Select(features[valid:at], labels[valid:at])
            with watched() as told:
                found = probes[name].predict(fit, select, features[at:], given.classes, True)
            assert found.labels is not None
            highest = max(highest, told["peak"])
            print(
                f"{name}: {told['peak']:.2f} GiB of anonymous memory at the most, {told['wall']:.0f} s "
                f"({told['busy']:.0f} s of processor), accuracy {(found.labels == labels[at:]).mean():.3f}",
                flush=True,
            )
    size = given.rows * given.width * 4 / 2**30
    print(
        f"(once; {given.rows} x {given.width} float32 = {size:.2f} GiB, memory-mapped; {given.classes} classes, "
        f"{given.queries} queries; cpu, {given.threads} threads, torch {torch.__version__})"
    )
    if highest > LIMIT:
        raise SystemExit(f"{highest:.2f} GiB is more than {LIMIT}")


if __name__ == "__main__":
    main()
