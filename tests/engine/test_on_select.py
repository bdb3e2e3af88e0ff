"""What is judged on *select*: fitted on *fit*, refitted on nothing more, and the report split is never looked at."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.backbone import Backbone
from deo_bench.data import Pack, Places
from deo_bench.data.pack import write_pack
from deo_bench.draws import global_seed
from deo_bench.engine.embed import Beside, Evaluated
from deo_bench.engine.evaluate import Evaluator
from deo_bench.engine.request import Request
from deo_bench.probes import Fit, Select
from deo_bench.probes.knn import Knn
from deo_bench.probes.linear import Linear
from deo_bench.probes.record import resolve
from deo_bench.recipe.models import PartTable
from deo_bench.registry import Registry
from deo_bench.score import Score
from tests.engine.test_dense import CPU, RGB, SIDE
from tests.engine.test_tuned_maps import Mixed
from tests.tiny import encode

COUNT = 48
ROLES = {"fit": range(0, COUNT, 2), "select": range(1, COUNT, 4), "report": range(3, COUNT, 4)}


known_parts = cache(Registry)


class Guarded:
    """An array that says which of its rows are read, and refuses some."""

    def __init__(self, values: Any, refused: Any) -> None:
        self.values, self.refused = np.asarray(values), set(np.asarray(refused).tolist())
        self.shape, self.ndim, self.dtype = self.values.shape, self.values.ndim, self.values.dtype

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> Any:
        read = set(np.arange(len(self))[rows].ravel().tolist())
        assert not read & self.refused, f"rows of the report split are read: {sorted(read & self.refused)}"
        return self.values[rows]


def packed(folder: Path, kind: str) -> Pack:
    """Three classes that differ in red, alone or in several images of two places, or red pixels."""
    draws = np.random.default_rng(0)
    images = draws.integers(0, 120, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)
    classes = draws.integers(0, 3, COUNT)
    images[:, 0] += (30 * classes).astype(np.uint8)[:, None, None]
    labels: Any = {
        "single": classes.astype(np.uint8),
        "multi": np.eye(3, dtype=np.uint8)[classes] | (draws.random((COUNT, 3)) < 0.3),
        "regression": classes + draws.normal(0, 0.1, COUNT),
        "segmentation": (images[:, 0] > 80).astype(np.uint8),
    }[kind]
    names = [] if kind == "regression" else ["a", "b", "c"]
    more: dict[str, Any] = {"ignore": 255} if kind == "segmentation" else {"groups": np.arange(COUNT) // 2}
    return write_pack(
        folder / kind, name=kind, images=list(images), count=COUNT, bands=RGB, unit="uint8",
        labels=labels, classes=names, splits=ROLES, partitions={"few": range(0, COUNT, 6)}, **more,
    )  # fmt: skip


def scored(
    folder: Path, pack: Pack, probe: dict[str, Any], role: Any = "select", partition: str = "default", **more: Any
) -> tuple[Score, dict[str, Any], int]:
    """The score of an untrained backbone on a role, its arrays, and how many images were encoded."""
    registry = known_parts()
    with global_seed("select"):
        backbone: Backbone = Mixed().eval()
        another: Backbone = Mixed().eval()
    evaluated = Evaluated("weights", lambda _: backbone)
    if more.pop("beside", False):
        evaluated = replace(evaluated, beside=Beside(Evaluated("other", lambda _: another), "rgb"))
    protocol = resolve({"use": "scenes-v1", "bootstrap": 20, "probes": {"own": probe}, **more}, registry)
    part = PartTable(use=probe["use"], options=protocol.probes["own"].options)
    own = str(registry.get("probe", probe["use"]).facts.get("metric", ""))
    request = Request(
        "own", "pairs", PartTable(use="npz"), pack.content, protocol, "own", part, "1", "rgb",
        partition=partition, label_kind=pack.label_kind, own_metric=own, role=role,
    )  # fmt: skip
    evaluator = Evaluator(registry, Places(folder, folder / "cache"), CPU)
    evaluator._packs[pack.content] = pack
    return evaluator.score(request, evaluated)


KNN = {"use": "knn", "k": 3}
WAYS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "vectors": ("single", KNN, {}),
    "a partition": ("single", KNN, {"partition": "few"}),
    "several labels": ("multi", {"use": "linear", "num_c": 3}, {"merge": True}),
    "numbers": ("regression", {"use": "ridge"}, {"merge": True}),
    "bands taken away": ("single", KNN, {"absent": ["B04"]}),
    "beside another": ("single", KNN, {"beside": True}),
    "labels held against each other": ("single", {"use": "retrieval"}, {}),
    "nothing looked at": ("segmentation", {"use": "majority"}, {}),
    "maps": ("segmentation", {"use": "segmentation", "levels": ["late"], "head": "linear", "epochs": 1}, {}),
    "maps of windows": (
        *("segmentation", {"use": "segmentation", "levels": ["late"], "head": "linear", "epochs": 1}),
        {"window": 8},
    ),
    "tuned": ("single", {"use": "finetune", "steps": 2, "batch": 4}, {}),
    "tuned on maps": (
        *("segmentation", {"use": "finetune", "decoder": "linear", "levels": ["late"], "steps": 2, "batch": 4}),
        {},
    ),
    "costs": ("single", {"use": "profile_gmacs"}, {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_report_split_is_never_looked_at(tmp_path: Path, way: str) -> None:
    kind, probe, more = WAYS[way]
    pack = packed(tmp_path, kind)
    refused = pack.splits["report"]
    guarded = replace(pack, images=Guarded(pack.images, refused), labels=Guarded(pack.labels, refused))
    score, arrays, encoded = scored(tmp_path, guarded, probe, **more)
    assert score.role == "select" and np.isfinite(score.value)
    if probe["use"] != "profile_gmacs":
        assert score.n == len(arrays["truth"]) == len(pack.splits["select"])
    without = {name: rows for name, rows in pack.splits.items() if name != "report"}
    same = scored(tmp_path, replace(guarded, splits=without), probe, **more)[0]
    assert same.value == score.value, "nor need there be one"
    allowed = len(pack.splits["fit"]) + len(pack.splits["select"])
    assert encoded in (0, allowed, 2 * allowed, allowed + len(pack.splits["select"]))
    with pytest.raises(AssertionError, match="rows of the report split are read"):
        scored(tmp_path / "report", guarded, probe, role="report", **more)


def test_a_poisoned_report_split_changes_no_value(tmp_path: Path) -> None:
    pack = packed(tmp_path, "single")
    images, labels, groups = (np.array(each) for each in (pack.images, pack.labels, pack.groups))
    rows = pack.splits["report"]
    images[rows], labels[rows], groups[rows] = 255, 1, 0
    poisoned = replace(pack, images=images, labels=labels, groups=groups, content="other", pixels="other")
    (clean, kept, _), (value, said, _) = (scored(tmp_path / each.content, each, KNN) for each in (pack, poisoned))
    assert value.value == clean.value and value.digest != clean.digest
    assert all(np.array_equal(kept[name], said[name]) for name in kept)


def test_the_value_is_the_probes_on_select_fitted_on_fit_alone(tmp_path: Path) -> None:
    pack = packed(tmp_path, "single")
    assert pack.labels is not None
    with global_seed("select"):
        backbone = Mixed().eval()
    vectors = encode(backbone, pack, "rgb", resolve("scenes-v1", known_parts()), CPU)
    own = {role: vectors[pack.splits[role]] for role in ("fit", "select")}
    truth = {role: np.asarray(pack.labels[pack.splits[role]]) for role in own}
    given = (Fit(own["fit"], truth["fit"]), Select(own["select"], truth["select"]), own["select"], 3)
    near, linear = Knn(k=3).predict(*given, False), Linear(num_c=3).predict(*given, False)
    assert near.labels is not None and linear.labels is not None
    assert scored(tmp_path, pack, KNN)[0].value == np.mean(near.labels == truth["select"])
    merged = Linear(num_c=3).predict(*given, True)
    said = scored(tmp_path, pack, {"use": "linear", "num_c": 3}, merge=True)[1]["scores"]
    assert np.allclose(said, linear.scores, atol=1e-6) and not np.allclose(said, merged.scores, atol=1e-3)


def test_what_was_encoded_for_one_probe_serves_the_next_and_never_the_report_split(tmp_path: Path) -> None:
    pack = packed(tmp_path, "single")
    assert [scored(tmp_path, pack, {**KNN, "k": k})[2] for k in (3, 5)] == [36, 0]
    assert scored(tmp_path, pack, KNN, partition="few")[2] == 0, "few labels are rows of the same"
    score, _, encoded = scored(tmp_path, pack, KNN, role="report")
    assert encoded == COUNT and score.role == "report" and "role" not in score.model_dump(mode="json")
