"""Probes that look at more than vectors, as the engine runs them: retrieval, costs, and fine-tuning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.data import Places
from deo_bench.draws import global_seed
from deo_bench.engine.embed import Evaluated
from deo_bench.engine.evaluate import Evaluator
from deo_bench.engine.request import Request
from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.probes.record import resolve
from deo_bench.recipe.models import PartTable
from deo_bench.registry import Registry
from tests.tiny import write_npz

BANDS = ("B08", "B04")


class Tiny(Backbone):
    """One strided convolution and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.band_sets = {"two": BANDS}
        self.normalisations = {"two": Normalisation("dn", (1500.0,) * 2, (500.0,) * 2)}
        self.pooled_dims = {"mean": 4}
        self.convolution = nn.Conv2d(2, 4, 4, 4)

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        return Features({"mean": torch.relu(self.convolution(pixels)).mean((2, 3))})


def scored(folder: Path, name: str, options: dict[str, object]):
    """The score of an untrained backbone by one probe, its arrays, and the task's pack."""
    registry = Registry()
    with global_seed("tiny"):
        backbone = Tiny().eval()
    write_npz(folder)
    places = Places(folder, folder / "cache")
    protocol = resolve({"use": "scenes-v1", "probes": {"own": {"use": name, **options}}}, registry)
    task = PartTable(use="npz", options=registry.options("task", "npz", {"path": "tiny.npz", "unit": "dn"}, "task"))
    part = PartTable(use=name, options=protocol.probes["own"].options)
    own = str(registry.get("probe", name).facts.get("metric", ""))
    request = Request("own", "tiny", task, "content", protocol, "own", part, "1", "two", own_metric=own)
    evaluator = Evaluator(registry, places, torch.device("cpu"))
    score, arrays, _ = evaluator.score(request, Evaluated("weights", lambda pack: backbone))
    return score, arrays, evaluator.pack(request)


def test_retrieval_is_judged_by_the_labels_of_the_report_split(tmp_path: Path) -> None:
    score, arrays, pack = scored(tmp_path, "retrieval", {"metric": "l2"})
    report = pack.splits["report"]
    assert score.metric == "mean" and score.direction == "max" and score.n == len(report)
    assert arrays["scores"].shape == (len(report), 1)
    assert score.value == pytest.approx(arrays["scores"].mean())
    # The near infrared tells the classes apart; by chance it were a third.
    assert 0.6 < score.low <= score.value <= score.high


def test_costs_are_scores_of_what_was_measured(tmp_path: Path) -> None:
    score, _, _ = scored(tmp_path, "profile_gmacs", {})
    assert (score.metric, score.direction, score.n) == ("mean_cost", "min", 1)
    assert score.value == pytest.approx(16 * 4 * 32 / 1e9, rel=1e-6)
    score, arrays, _ = scored(tmp_path, "profile_images_per_second", {"rounds": 3})
    assert (score.metric, score.direction, score.n) == ("mean_rate", "max", 3)
    assert score.value == pytest.approx(np.mean(arrays["scores"]))


def test_fine_tuning_trains_on_the_images_of_the_task(tmp_path: Path) -> None:
    options = {"steps": 40, "batch": 16, "learning_rate": 3e-2, "head_learning_rate": 0.3}
    tuned, _, _ = scored(tmp_path, "finetune", options)
    assert tuned.metric == "accuracy" and tuned.value > 0.6
    assert tuned.chosen["learning_rate"] == 3e-2
