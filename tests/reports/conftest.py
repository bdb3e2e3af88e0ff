"""A store of made-up scores with predictions behind them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.probes.confusion import confusion_matrices
from deo_bench.probes.metrics import METRICS, measure
from deo_bench.reports.entries import Entry, Scope

N = 120


def hexes(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def run_name(label: str, seed: int) -> str:
    return f"{hexes(label, 12)}-s{seed}"


def dense(fixed: np.random.Generator, draws: np.random.Generator, n: int, share: float) -> tuple[dict[str, Any], str]:
    """Maps of three classes, a few pixels without a label, and a few maps to look at; `share` of the pixels right."""
    truth = np.repeat(np.repeat(fixed.integers(0, 3, (n, 4, 4)), 2, 1), 2, 2).astype(np.uint8)
    truth[:, 0, :2] = 255
    said = np.where(draws.random(truth.shape) < share, truth, (truth + 1) % 3).astype(np.uint8)
    said[truth == 255] = 0
    counts = confusion_matrices(truth, said, 3, 255)
    places = np.unique(np.linspace(0, n - 1, 3).round().astype(np.int64))
    return {
        "truth": counts.sum(2), "scores": counts.astype(np.int32), "shown": said[places],
        "shown_truth": truth[places], "shown_images": places,
    }, "miou"  # fmt: skip


def change(fixed: np.random.Generator, draws: np.random.Generator, n: int, share: float) -> tuple[dict[str, Any], str]:
    """Maps of what changed, in few pixels."""
    truth = (fixed.random((n, 8, 8)) < 0.1).astype(np.uint8)
    said = np.where(draws.random(truth.shape) < share, truth, 1 - truth).astype(np.uint8)
    counts = confusion_matrices(truth, said, 2, None)
    return {
        "truth": counts.sum(2), "scores": counts.astype(np.int32), "shown": said[:1], "shown_truth": truth[:1],
        "shown_images": np.array([0]),
    }, "change_f1"  # fmt: skip


def regression(
    fixed: np.random.Generator, draws: np.random.Generator, n: int, share: float
) -> tuple[dict[str, Any], str]:
    """Heights of some ten metres, off by the more the smaller the share."""
    truth = fixed.normal(12, 4, n)
    off = 4 * (1 - share) * draws.normal(0, 1, n)
    return {"truth": truth, "scores": (truth + off).astype(np.float32)[:, None]}, "rmse"


def cost(fixed: np.random.Generator, draws: np.random.Generator, n: int, share: float) -> tuple[dict[str, Any], str]:
    """What was measured five times, whatever the images."""
    took = (100 * share + draws.random((5, 1))).astype(np.float32)
    return {"truth": np.zeros(5, np.int64), "scores": took}, "mean_cost"


MADE: dict[str, Any] = {"dense": dense, "change": change, "regression": regression, "cost": cost}
"""Kinds of predictions that are made apart."""


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
        if kind in MADE:
            draws = np.random.default_rng(int(hexes(f"{subject}{task}{probe}{seed}", 6), 16))
            arrays, metric = MADE[kind](np.random.default_rng(int(hexes(task, 6), 16)), draws, n, share)
            if "groups" in fields:
                arrays["groups"] = fields.pop("groups")
                fields["num_groups"] = len(set(arrays["groups"].tolist()))
            return self.write(subject, task, probe, arrays, fields.pop("metric", metric), **fields)
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
        return self.write(subject, task, probe, arrays, metric, **fields)

    def write(
        self, subject: str, task: str, probe: str, arrays: dict[str, np.ndarray], measured: str, **fields: Any
    ) -> Path:
        """Predictions and the score that they give."""
        value = float(measure(measured, arrays["truth"], arrays["scores"], arrays.get("predicted"))[0])
        n = len(arrays["truth"])
        record: dict[str, Any] = {
            "subject": subject, "task": task, "probe": probe, "protocol": "scenes-v1", "metric": measured,
            "direction": METRICS[measured].direction, "value": value, "low": value - 0.05, "high": value + 0.05, "n": n,
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

    def single(
        self, label: str, share: float, kind: Any = "baseline", task: str = "cover", of: str = "single", **fields: Any
    ) -> Entry:
        """The score of what is no run, and its row; of: the kind of labels."""
        subject = f"backbones/{label}-{hexes(label, 12)}"
        self.score(subject, task, share, kind=of, **fields)
        return Entry(label, kind, [(None, subject)])


@pytest.fixture
def fake(tmp_path: Path) -> FakeStore:
    return FakeStore(tmp_path / "runs")


@pytest.fixture
def scope() -> Scope:
    """One task, one probe."""
    return Scope(("cover",), {"scenes-v1": ("knn5_l2",)}, ("s2_10",), experiment="experiments/teachers.toml")
