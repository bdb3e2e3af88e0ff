"""A store of thousands of runs becomes a table: our reader against pydantic file by file, in turns, one ratio."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import deo_bench
from deo_bench.files import write_arrays
from deo_bench.probes.intervals import interval, resamples
from deo_bench.probes.metrics import measure
from deo_bench.reports.answer import make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.spec import ReportSpec
from deo_bench.score import Score

TASKS, PROBES, SEEDS = 4, 5, 3
IMAGES, CLASSES = 1000, 10
ANSWERS = 100
"""Different predictions a task; scores share them as links, as a disk would not hold a file each."""


def hexes(text: str, length: int) -> str:
    """Hex digits that stand for a digest."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def make_answers(root: Path, task: str) -> list[tuple[Path, dict[str, float]]]:
    """Predictions of many students on one task, from half right to nearly all, and what their scores say."""
    draws = np.random.default_rng(len(task))
    truth = draws.integers(0, CLASSES, IMAGES)
    weights, made = resamples(IMAGES, 200, task), []
    for number, share in enumerate(np.linspace(0.5, 0.95, ANSWERS)):
        predicted = np.where(draws.random(IMAGES) < share, truth, draws.integers(0, CLASSES, IMAGES))
        votes = draws.random((IMAGES, CLASSES)).astype(np.float32)
        votes[np.arange(IMAGES), predicted] += 1
        path = root / "answers" / f"{task}-{number}.npz"
        write_arrays(path, {"truth": truth, "scores": votes, "predicted": predicted})
        low, high = interval("accuracy", truth, votes, predicted, weights)
        value = float(measure("accuracy", truth, votes, predicted)[0])
        made.append((path, {"value": value, "low": low, "high": high}))
    return made


def build(root: Path, runs: int) -> tuple[list[Entry], Scope]:
    """A store of so many runs, a score a task and probe each, as the engine writes them; its rows and columns."""
    tasks = [f"task-{number}" for number in range(TASKS)]
    probes = [f"knn{5 * (number + 1)}_l2" for number in range(PROBES)]
    answers = {task: make_answers(root, task) for task in tasks}
    draws, entries = np.random.default_rng(0), []
    for cell in range(-(-runs // SEEDS)):
        name, skill = hexes(f"cell {cell}", 12), int(draws.integers(10, ANSWERS - 10))
        subjects = [(seed, f"{name}-s{seed}") for seed in range(min(SEEDS, runs - SEEDS * cell))]
        entries.append(Entry(f"cell {cell}", "cell", subjects))
        for _, subject in subjects:
            folder = root / "runs" / subject / "scores"
            folder.mkdir(parents=True)
            for task in tasks:
                for probe in probes:
                    path, said = answers[task][skill + int(draws.integers(-10, 10))]
                    _write(folder, path, said, subject=subject, task=task, probe=probe)
    return entries, Scope(tasks, {"scenes-v1": probes}, ("s2_10",))


def _write(folder: Path, predictions: Path, said: dict[str, float], *, subject: str, task: str, probe: str) -> None:
    score = Score(
        subject=subject, task=task, probe=probe, protocol="scenes-v1", metric="accuracy", n=IMAGES, bands="s2_10",
        task_content=f"{task} generator 1, 1000+300+1000 images", chosen={"c": 10.0},
        digest=hexes(f"{task} {probe}", 8), **said,
    )  # fmt: skip
    path = folder / f"{score.stem}.json"
    # No fsync a file, which write_json would do: a hundred thousand of them take an hour.
    path.write_text(json.dumps(score.model_dump(mode="json"), sort_keys=True, indent=1) + "\n")
    os.link(predictions, path.with_suffix(".npz"))


def file_by_file(store: Path) -> pd.DataFrame:
    """What one writes without thinking of time: pydantic for each file, pandas for the table."""
    paths = sorted(store.glob("*/scores/*.json"))
    return pd.DataFrame([Score.model_validate_json(path.read_bytes()).model_dump() for path in paths])


def timed(once: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""
    began = time.perf_counter(), time.process_time()
    once()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def in_turns(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The median seconds of each, on the clock and of the processor, alternately after a round that is not counted."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, once in contenders.items():
            told = timed(once)
            if turn:
                taken[name].append(told)
    return {name: [statistics.median(side) for side in zip(*told, strict=True)] for name, told in taken.items()}


def main() -> None:
    """Measure, and print the evidence: one line of the tidy table, and one of the report's tables for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cells", type=int, nargs="*", default=[8, 100], help="rows of the report's tables; 0: all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        entries, scope = build(Path(root), given.runs)
        store, of = Path(root) / "runs", f"of {given.runs} runs x {TASKS * PROBES} scores"
        ours = {"table": lambda: deo_bench.scores(store), "file by file": lambda: file_by_file(store)}
        taken = in_turns(ours, given.rounds)
        told = ", ".join(f"{name} {wall:.2f} s ({busy:.2f} s of processor)" for name, (wall, busy) in taken.items())
        ratio = taken["file by file"][1] / taken["table"][1]
        print(f"{told}, ratio {ratio:.2f} (median of {given.rounds}; {of}; cpu, pandas {pd.__version__})")
        spec = ReportSpec(baseline=entries[0].label)
        for count in given.cells:
            rows = entries[:count] if count else entries
            wall, busy = timed(lambda rows=rows: make_answer(spec, rows, scope, store))  # type: ignore[misc]
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"tables of {len(rows)} cells x {SEEDS} seeds x {TASKS * PROBES} scores, intervals and differences: "
                f"{wall:.2f} s ({busy:.2f} s of processor; once; {of}; cpu, numpy {np.__version__}, "
                f"{peak:.1f} GiB at the most, torch loaded: {'torch' in sys.modules})"
            )


if __name__ == "__main__":
    main()
