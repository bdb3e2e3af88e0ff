"""Five probes on one backbone and one task: one encoding pass, counted, and what it costs beyond pass and probes."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch

from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack, Places
from deo_bench.engine.build import Statistics, build_student
from deo_bench.engine.embed import Evaluated, encoded
from deo_bench.engine.evaluate import Evaluator
from deo_bench.engine.request import Request
from deo_bench.engine.view import View
from deo_bench.probes import Fit, Select
from deo_bench.probes.intervals import interval, resamples
from deo_bench.probes.metrics import measure
from deo_bench.probes.record import resolve as resolve_protocol
from deo_bench.recipe import PartTable, resolve
from deo_bench.registry import Registry
from deo_bench.students import Student

CPU, BANDS = torch.device("cpu"), "s2_10"
PROTOCOL = {
    "use": "scenes-v1",
    "probes": {
        "knn20_l2": {"use": "knn", "k": 20},
        "knn200_cos": {"use": "knn", "k": 200, "metric": "cosine", "vote": "weighted"},
    },
}
"""The three probes of `scenes-v1`, and two more."""


class Counting(torch.nn.Module):
    """A student that counts the images it is shown."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student, self.shown = student, 0
        student.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: torch.nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.shown += len((given[0] if given else named["images"]).pixels)


def write_npz(folder: Path, count: int, size: int) -> None:
    """Noise of five classes that differ in one band, split into three quarters, an eighth and an eighth."""
    draws = np.random.default_rng(0)
    labels = np.arange(count) % 5
    images = draws.normal(1500, 150, (count, 10, size, size)).astype(np.float32)
    images[:, 6] += 40 * labels[:, None, None]
    np.savez(
        folder / "noise.npz",
        images=images.clip(1, 10_000).astype(np.uint16),
        labels=labels.astype(np.uint8),
        split=np.maximum(np.arange(count) % 8 - 5, 0).astype(np.uint8),
        bands=np.array(BAND_SETS[BANDS]),
        classes=np.array(list("abcde")),
    )


def requests_of(registry: Registry) -> list[Request]:
    """One request a probe of the protocol."""
    protocol = resolve_protocol(PROTOCOL, registry)
    options = registry.options("task", "npz", {"path": "noise.npz", "unit": "dn"}, "task")
    return [
        Request(
            subject="student", task="noise", task_part=PartTable(use="npz", options=options), task_content="noise",
            protocol=protocol, probe=name, probe_part=PartTable(use=each.use, options=each.options),
            probe_identity=registry.get("probe", each.use).identity, bands=BANDS,
        )
        for name, each in protocol.probes.items()
    ]  # fmt: skip


def make_student(pack: Pack, registry: Registry, depth: int, width: int) -> Student:
    """An untrained small ViT."""
    student = {"use": "vit_nano", "bands": [BANDS], "width": width, "depth": depth, "heads": 4}
    views = {"global": {"count": 2, "size": pack.images.shape[-1], "scale": [0.4, 1.0]}}
    tables = {"data": {"use": "npz", "paths": ["noise.npz"], "unit": "dn"}, "views": views, "student": student}
    table = resolve({**tables, "train": {"steps": 1, "batch": 8}}, registry, "recipe").student
    return build_student(table, Statistics.of(pack), registry, 0).eval()


def alone(requests: list[Request], pack: Pack, student: Student, registry: Registry) -> dict[str, float]:
    """Processor seconds of the pass, and of each probe on its features: fitted, measured, its interval drawn."""
    taken, began = {}, time.process_time()
    passed = encoded(student, pack, View(requests[0].protocol, BANDS), np.arange(len(pack)), CPU)
    vectors = np.concatenate([features.get("default").numpy() for features, _ in passed])
    taken["pass"] = time.process_time() - began
    assert pack.labels is not None
    fit, select, report = (np.asarray(pack.splits[role]) for role in ("fit", "select", "report"))
    for request in requests:
        began = time.process_time()
        probe = registry.build("probe", request.probe_part.use, options=request.probe_part.options)
        given = Fit(vectors[fit], pack.labels[fit]), Select(vectors[select], pack.labels[select])
        said = probe.predict(*given, vectors[report], len(pack.classes), request.protocol.merge)
        answer = pack.labels[report], said.scores, said.labels
        measure("accuracy", *answer)
        interval(
            "accuracy", *answer, resamples(len(report), request.protocol.bootstrap, request.task_content, "default")
        )
        taken[request.probe] = time.process_time() - began
    return taken


def together(requests: list[Request], pack: Pack, student: Student, registry: Registry, places: Places) -> float:
    """Processor seconds of the evaluator's scores on an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        evaluator = Evaluator(registry, replace(places, cache=Path(cache)), CPU)
        evaluator._packs[requests[0].task_content] = pack
        subject = Evaluated("weights", lambda pack: student)
        began = time.process_time()
        for request in requests:
            evaluator.score(request, subject)
        return time.process_time() - began


def main() -> None:
    """Measure, print the evidence, and end with status 1 where there was more than one pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    registry = Registry()
    with tempfile.TemporaryDirectory() as folder:
        write_npz(Path(folder), given.images, given.size)
        places = Places(Path(folder), Path(folder) / "cache")
        requests = requests_of(registry)
        pack = Evaluator(registry, places, CPU).pack(requests[0])
        counting = Counting(make_student(pack, registry, given.depth, given.width))
        both: list[float] = []
        each: list[dict[str, float]] = []
        for turn in range(given.rounds + 1):
            each.append(alone(requests, pack, counting.student, registry))
            counting.shown = 0
            both.append(together(requests, pack, counting.student, registry, places))
            if turn == 0:
                both.clear()
                each.clear()
    middle = {name: statistics.median(taken[name] for taken in each) for name in each[0]}
    ratios = [mine / sum(taken.values()) for mine, taken in zip(both, each, strict=True)]
    print(
        f"{len(requests)} probes together {statistics.median(both):.2f} s of processor, alone "
        f"{', '.join(f'{name} {seconds:.2f} s' for name, seconds in middle.items())}: ratio "
        f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) of processor; "
        f"{counting.shown} images encoded for {len(pack)} there are (median of {given.rounds}; "
        f"ViT of width {given.width}, depth {given.depth}, "
        f"{given.size} px; cpu, {given.threads} threads, torch {torch.__version__})"
    )
    if counting.shown != len(pack):
        raise SystemExit("more than one encoding pass")


if __name__ == "__main__":
    main()
