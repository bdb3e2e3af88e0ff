"""A store of made-up scores with predictions behind them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.probes.metrics import measure
from deo_bench.reports.entries import Entry, Scope

N = 120


def hexes(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def run_name(label: str, seed: int) -> str:
    return f"{hexes(label, 12)}-s{seed}"


class FakeStore:
    """Writes scores as the engine does, of predictions with a given share of right answers."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def score(
        self,
        subject: str,
        task: str = "cover",
        share: float = 0.5,
        *,
        probe: str = "knn5_l2",
        seed: int = 0,
        **fields: Any,
    ) -> Path:
        """One score; `share` of the answers are right, the first ones, with `seed` turning some of them."""
        n, kind = fields.pop("size", N), fields.pop("kind", "single")
        truth = np.random.default_rng(int(hexes(task, 6), 16)).integers(0, 4, (n, 4) if kind == "multi" else n)
        draws = np.random.default_rng(int(hexes(f"{subject}{task}{probe}{seed}", 6), 16))
        arrays: dict[str, np.ndarray] = {}
        if kind == "multi":
            truth = (truth == 0).astype(np.uint8)
            arrays["scores"] = (share * truth + draws.normal(0, 0.3, truth.shape)).astype(np.float32)
            metric = "micro_map"
        else:
            right = np.arange(n) < round(share * n)
            arrays["predicted"] = np.where(right, truth, (truth + 1) % 4)
            arrays["scores"] = draws.random((n, 4)).astype(np.float32)
            metric = "accuracy"
        arrays["truth"] = truth + fields.pop("shift", 0)
        if "groups" in fields:
            arrays["groups"] = fields.pop("groups")
            fields["num_groups"] = len(set(arrays["groups"].tolist()))
        value = float(measure(metric, arrays["truth"], arrays["scores"], arrays.get("predicted"))[0])
        record: dict[str, Any] = {
            "subject": subject, "task": task, "probe": probe, "protocol": "scenes-v1", "metric": metric,
            "direction": "max", "value": value, "low": value - 0.05, "high": value + 0.05, "n": n,
            "num_groups": None, "bands": "s2_10", "weights": "student" if "-s" in subject else "file", "step": None,
            "partition": "default", "band_labels": "published", "task_content": hexes(task, 64), "chosen": {},
            "on_edge": False,
        }  # fmt: skip
        record |= fields
        said = [record[name] for name in ("protocol", "bands", "weights", "step", "partition", "task_content")]
        record["digest"] = fields.get("digest") or hexes(f"{task}{probe}{said}", 8)
        folder = self.root / subject / "scores"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{task}.{probe}.{record['digest']}.json"
        np.savez(path.with_suffix(".npz"), **arrays)
        path.write_text(json.dumps(record, sort_keys=True, indent=1))
        return path

    def cell(
        self, label: str, shares: list[float], task: str = "cover", seeds: list[int] | None = None, **fields: Any
    ) -> Entry:
        """The scores of one cell, a share a seed, and its row."""
        subjects = [(seed, run_name(label, seed)) for seed in (seeds or range(len(shares)))]
        for (_, subject), share in zip(subjects, shares, strict=True):
            self.score(subject, task, share, **fields)
        return Entry(label, "cell", subjects)

    def single(self, label: str, share: float, kind: Any = "baseline", task: str = "cover", **fields: Any) -> Entry:
        """The score of what is no run, and its row."""
        subject = f"backbones/{label}-{hexes(label, 12)}"
        self.score(subject, task, share, **fields)
        return Entry(label, kind, [(None, subject)])


@pytest.fixture
def fake(tmp_path: Path) -> FakeStore:
    return FakeStore(tmp_path / "runs")


@pytest.fixture
def scope() -> Scope:
    """One task, one probe."""
    return Scope(("cover",), {"scenes-v1": ("knn5_l2",)}, ("s2_10",), experiment="experiments/teachers.toml")
