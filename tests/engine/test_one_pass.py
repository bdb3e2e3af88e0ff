"""Five probes on one backbone and one task encode every image once, and none where the embeddings are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from deo_bench.data import Pack, Places
from deo_bench.engine.build import Statistics, build_student
from deo_bench.engine.embed import Evaluated
from deo_bench.engine.evaluate import Evaluator
from deo_bench.engine.request import Request
from deo_bench.probes.record import resolve as resolve_protocol
from deo_bench.recipe import PartTable, resolve
from deo_bench.registry import Registry
from tests.tiny import recipe, write_npz

PROBES: dict[str, dict[str, Any]] = {
    "knn5_l2": {"use": "knn"},
    "knn20_l2": {"use": "knn", "k": 20},
    "knn20_cos": {"use": "knn", "k": 20, "metric": "cosine"},
    "one_c": {"use": "linear", "num_c": 1, "log10_low": 0.0, "log10_high": 0.0},
    "three_c": {"use": "linear", "num_c": 3, "log10_low": -1.0, "log10_high": 1.0},
}


def test_five_probes_make_one_pass(registry: Registry, tmp_path: Path) -> None:
    write_npz(tmp_path, name="judged.npz")
    protocol = resolve_protocol({"use": "scenes-v1", "probes": PROBES}, registry)
    options = registry.options("task", "npz", {"path": "judged.npz", "unit": "dn"}, "task")
    requests = [
        Request(
            subject="student", task="judged", task_part=PartTable(use="npz", options=options), task_content="judged",
            protocol=protocol, probe=name, probe_part=PartTable(use=each.use, options=each.options),
            probe_identity=registry.get("probe", each.use).identity, bands="s2_10",
        )
        for name, each in protocol.probes.items() if name in PROBES
    ]  # fmt: skip
    shown: list[int] = []

    def load(pack: Pack) -> torch.nn.Module:
        student = build_student(resolve(recipe(), registry, "tiny").student, Statistics.of(pack), registry, 0)
        student.register_forward_pre_hook(lambda _, given: shown.append(len(given[0].pixels)))
        return student

    places = Places(tmp_path, tmp_path / "cache")
    for again in (False, True):
        evaluator = Evaluator(registry, places, torch.device("cpu"))
        count = len(evaluator.pack(requests[0]))
        told = [evaluator.score(request, Evaluated("weights", load))[2] for request in requests]
        assert told == [0 if again else count, 0, 0, 0, 0]
        assert sum(shown) == count
