"""Protocols are frozen: what is overridden has an id of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from deo_bench.engine.request import Request
from deo_bench.errors import UserError
from deo_bench.probes import kinds_of
from deo_bench.probes.metrics import METRICS
from deo_bench.probes.protocols import PROTOCOLS
from deo_bench.probes.record import resolve
from deo_bench.recipe import PartTable
from deo_bench.registry import Registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def test_published_protocols_hold_what_they_say(registry):
    tgb = resolve("tgb-v0.4", registry)
    assert (tgb.id, tgb.size, tgb.interpolation, tgb.normalise) == ("tgb-v0.4", 224, "bilinear", "dataset")
    assert (tgb.merge, tgb.bootstrap) == (True, 200)
    assert (tgb.metrics["single"], tgb.metrics["multi"]) == ("accuracy", "micro_map")
    assert {name: use.use for name, use in tgb.probes.items()} == {"knn5_l2": "knn", "linear_lbfgs": "linear"}
    expected = {"num_c": 40, "log10_low": -6.0, "log10_high": 4.0, "standardise": False, "double": False}
    assert tgb.probes["linear_lbfgs"].options == expected
    scenes = resolve("scenes-v1", registry)
    # What was scored under them stays comparable: fields that came later are in the content where they say something.
    assert (tgb.content, scenes.content) == ("8127978c", "d023b4c8")
    assert resolve({"use": "tgb-v0.4", "metrics": {"single": "macro_f1"}}, registry).id == "custom-74bd6bef"
    assert resolve({"use": "tgb-v0.4", "metrics": {"change": "miou"}}, registry).id != "tgb-v0.4"
    assert (scenes.size, scenes.normalise) == (None, "native")
    assert list(scenes.probes) == ["knn5_l2", "knn20_cos", "linear"]
    assert scenes.probes["linear"].options["num_c"] == 7


@dataclass(frozen=True)
class Held:
    """A record's digest, the kinds of labels that it serves, and values by path as the source has them."""

    source: str
    content: str
    kinds: str
    values: dict[str, Any]


_NATIVE = {"size": None, "normalise": "native", "pooling": "default"}
_Z_SCORE = {"size": 224, "interpolation": "bilinear", "normalise": "dataset", "pooling": "default"}
_PANGAEA = {**_Z_SCORE, "pad": True, "merge": False}
_DECODER = {
    "head": "upernet", "levels": 4, "hidden": 512, "neck": True, "learning_rate": 1e-4, "weight_decay": 0.05,
    "betas": [0.9, 0.999], "epochs": 80, "batch": 8, "drop_last": True, "schedule": "multistep", "loss": "ce",
    "select_every": 5, "combine": "difference",
}  # fmt: skip
_METRICS = {"metrics.single": "accuracy", "metrics.segmentation": "miou"}
_SEARCH = {
    "optimiser": "adamw", "trials": 16, "rates": [1e-6, 1e-3], "head_rates": None, "head_learning_rate": None,
    "batches": [8, 16, 32], "decays": None, "weight_decay": 0.01, "schedule": "plateau", "warmup": 0.0, "patience": 10,
    "decoder": "upernet", "levels": 4,
}  # fmt: skip


def _of(probe: str, options: dict[str, Any]) -> dict[str, Any]:
    return {f"{probe}.{name}": value for name, value in options.items()}


def _weighted(k: int, temperature: float = 0.07) -> dict[str, Any]:
    options = {"k": k, "metric": "cosine", "vote": "weighted", "temperature": temperature}
    return _of(f"knn{k}_cos", options)


def _c(probe: str, num_c: int, low: float, high: float, standardise: bool) -> dict[str, Any]:
    return _of(probe, {"num_c": num_c, "log10_low": low, "log10_high": high, "standardise": standardise})


_FIVE = _of("knn5_l2", {"k": 5, "metric": "l2", "vote": "plain"})
_SCENES_LINEAR = _c("linear", 7, -3.0, 3.0, True)
HELD = {
    "scenes-v1": Held(
        "ours", "d023b4c8", "single multi regression",
        {**_NATIVE, **_FIVE, **_weighted(20), **_SCENES_LINEAR, "bootstrap": 1000, "merge": False},
    ),
    "scenes-dense-v1": Held(
        "ours", "a0ada686", "segmentation change",
        {**_NATIVE, "seg_linear.head": "linear", "seg_conv.head": "conv", "seg_conv.hidden": 64, "seg_conv.batch": 16,
         "seg_linear.learning_rate": 1e-2, "seg_conv.learning_rate": 1e-2},
    ),
    "tgb-v0.4": Held(
        "torchgeo-bench 0.4: conf/config.yaml, linear.py, knn.py", "8127978c", "single multi regression",
        {
            **_Z_SCORE, **_FIVE, **_c("linear_lbfgs", 40, -6.0, 4.0, False), "merge": True, "bootstrap": 200,
            "metrics.single": "accuracy", "metrics.multi": "micro_map",
        },
    ),
    "tgb-seg-v0.4": Held(
        "torchgeo-bench 0.4: conf/config.yaml, segmentation_task.py", "823f1d50", "segmentation change",
        {
            **_Z_SCORE, "metrics.segmentation": "miou", "merge": False,
            **_of("seg_fpn", {
                "head": "fpn", "hidden": 256, "neck": False, "learning_rate": 1e-3, "weight_decay": 0.0, "epochs": 10,
                "batch": 64, "schedule": "cosine", "loss": "ce", "select_every": 0,
            }),
        },
    ),
    "dinov3-logreg": Held(
        "DINOv3: eval/log_regression.py (C_POWER_RANGE), eval/knn.py", "ee8607ba", "single multi regression",
        {
            **_NATIVE, **_c("logreg", 45, -6.0, 5.0, False), "logreg.double": True, **_weighted(10),
            **_weighted(20), **_weighted(100), **_weighted(200), "merge": True, "metrics.single": "accuracy",
        },
    ),
    "dofa-linear": Held(
        "DOFA, section on linear probing", "5c4f2d50", "single multi",
        {**_Z_SCORE, **_of("linear_sgd", {
            "optimiser": "lars", "learning_rates": [0.5, 1.0, 10.0, 20.0], "epochs": 50, "schedule": "cosine",
            "norm": True, "weight_decays": [0.0],
        })},
    ),
    "pangaea-knn": Held(
        "PANGAEA: configs/task/knn_probe.yaml, engine/evaluator.py", "7dce1b83", "single multi regression",
        {**_PANGAEA, **_weighted(200, 0.1), "levels": 4, "window": None, "metrics.multi": "micro_f1"},
    ),
    "pangaea-linear": Held(
        "PANGAEA: configs/task/linear_classification.yaml, optimizer/adamw, lr_scheduler/multi_step_lr", "c71db15d",
        "single multi",
        {**_PANGAEA, "levels": 4, "metrics.single": "accuracy", "metrics.multi": "micro_f1", **_of("linear_sgd", {
            "optimiser": "adamw", "weight_decays": [0.05], "epochs": 50, "batch": 8, "norm": False,
            "schedule": "multistep",
        })},
    ),
    "pangaea-upernet": Held(
        "PANGAEA: configs/decoder/seg_upernet.yaml, task/segmentation.yaml", "9fb6b43d", "segmentation change",
        {**_PANGAEA, **_of("seg_upernet", _DECODER), "window": 224, "levels": 0, "metrics.segmentation": "miou"},
    ),
    "pangaea-cd": Held(
        "PANGAEA: configs/decoder/seg_siamupernet_diff.yaml, task/change_detection.yaml", "d547f694",
        "segmentation change",
        {**_PANGAEA, **_of("cd_upernet", _DECODER), "window": 224, "levels": 0, "metrics.change": "miou"},
    ),
    "gb1-finetune": Held(
        "geo-bench-experiments: configs/classification_task.yaml, model_configs, torch_toolbox/model_utils.py",
        "e97e838a", "single multi regression segmentation change",
        {**_Z_SCORE, **_METRICS, "metrics.multi": "micro_f1", "merge": False, **_of("finetune", {
            "optimiser": "adam", "learning_rate": 1e-4, "head_learning_rate": None, "weight_decay": 0.0, "batch": 64,
            "epochs": 600, "schedule": "constant", "warmup": 0.0, "looks": 4, "patience": 400, "flips": True,
            "balanced": True, "trials": 1, "frozen": False, "decoder": "upernet", "levels": 4,
        })},
    ),
    "gb2-hpo16": Held(
        "GEO-Bench-2's leaderboard: results_and_parameters.csv of its own submissions", "c032491e",
        "single multi regression segmentation change",
        {
            **_Z_SCORE, **_of("finetune", _SEARCH), **_of("frozen", _SEARCH), "finetune.frozen": False,
            "frozen.frozen": True, **_METRICS, "metrics.multi": "macro_f1",
        },
    ),
    "retrieval-v1": Held(
        "ours", "356e9c42", "single multi", {**_NATIVE, "retrieval.k": None, "retrieval.metric": "cosine"}
    ),
    "calibration-v1": Held(
        "Guo et al. 2017; the grid is torchgeo-bench's", "fec57375", "single multi",
        {**_NATIVE, "ece.temperature": "none", "ece_temperature.temperature": "select", "ece.num_c": 40,
         "ece.log10_low": -6.0, "ece.log10_high": 4.0},
    ),
    "regression-v1": Held(
        "ours", "1cd7c875", "single multi regression",
        {**_NATIVE, **_FIVE, "ridge.num_alpha": 25, "ridge.standardise": True, "metrics.regression": "rmse"},
    ),
    "profile-v1": Held(
        "ours", "3993520c", "single multi regression segmentation change",
        {"size": 224, "normalise": "native", "profile_parameters.batch": 16, "profile_gmacs.batch": 16,
         "profile_images_per_second.precision": "float32", "profile_peak_memory.rounds": 5},
    ),
    "missing-red-edge": Held(
        "ours", "f4083a7e", "single multi", {**_NATIVE, **_SCENES_LINEAR, "absent": ("B05", "B06", "B07", "B8A")}
    ),
    "missing-nir": Held("ours", "1d986577", "single multi", {**_NATIVE, **_SCENES_LINEAR, "absent": ("B08", "B8A")}),
    "missing-swir": Held("ours", "2acfef5f", "single multi", {**_NATIVE, **_SCENES_LINEAR, "absent": ("B11", "B12")}),
}  # fmt: skip


def test_every_protocol_is_in_the_table():
    assert HELD.keys() == PROTOCOLS.keys()


@pytest.mark.parametrize("name", HELD)
def test_a_published_protocol_never_changes_under_its_name(registry, name):
    assert resolve(name, registry).content == HELD[name].content, "give a changed protocol a new name"


@pytest.mark.parametrize("name", HELD)
def test_a_protocol_holds_the_values_of_its_source(registry, name):
    record = resolve(name, registry)
    found = {path: value for path, value in record.model_dump().items() if path != "probes"}
    found |= {f"metrics.{kind}": metric for kind, metric in record.metrics.items()}
    found |= {path: value for probe, use in record.probes.items() for path, value in _of(probe, use.options).items()}
    for path, value in HELD[name].values.items():
        told = list(found[path]) if isinstance(value, list) else found[path]
        assert told == value, f"{path}, {HELD[name].source}"
    assert record.probes.keys() == {path.partition(".")[0] for path in HELD[name].values if "." in path} - {"metrics"}


def test_the_learning_rate_that_pangaeas_linear_classifier_has_is_1e_4(registry):
    options = resolve("pangaea-linear", registry).probes["linear_sgd"].options
    assert [rate * options["batch"] / 256 for rate in options["learning_rates"]] == pytest.approx([1e-4])


@pytest.mark.parametrize("name", HELD)
def test_each_kind_of_labels_is_served_and_measured(registry, name):
    record = resolve(name, registry)
    facts = {probe: registry.get("probe", use.use).facts for probe, use in record.probes.items()}
    assert {kind for each in facts.values() for kind in kinds_of(each)} == set(HELD[name].kinds.split())
    for probe, each in facts.items():
        for kind in kinds_of(each):
            metric = each.get("metric") or record.metric(kind)
            assert kind in METRICS[metric].kinds, f"{probe} on {kind} labels: {metric}"


def test_an_option_that_came_later_is_in_no_digest_until_it_is_used(registry):
    told = resolve("tgb-v0.4", registry).told(exclude={"id"})["probes"]["linear_lbfgs"]["options"]
    assert "double" not in told
    double = resolve({"use": "tgb-v0.4", "probes": {"linear_lbfgs": {"double": True}}}, registry)
    assert double.id.startswith("custom-") and double.told(exclude=set())["probes"]["linear_lbfgs"]["options"]["double"]
    options = {"num_c": 40, "log10_low": -6.0, "log10_high": 4.0, "standardise": False}
    before, now, new = (
        PartTable(use="linear", options={**options, **later}) for later in ({}, {"double": False}, {"double": True})
    )
    digests = [
        Request("a-s0", "t", before, "", double, "linear", part, "linear 1", "rgb").digest
        for part in (before, now, new)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_an_override_has_an_id_of_its_content(registry):
    small = resolve({"use": "tgb-v0.4", "size": 64}, registry)
    assert re.fullmatch(r"custom-[0-9a-f]{8}", small.id)
    assert small.size == 64
    assert small.id == resolve({"size": 64, "use": "tgb-v0.4"}, registry).id
    assert small.id != resolve({"use": "tgb-v0.4", "size": 65}, registry).id


def test_an_override_that_changes_nothing_is_none(registry):
    same = {"use": "tgb-v0.4", "size": 224, "probes": {"knn5_l2": {"vote": "plain"}}}
    assert resolve(same, registry) == resolve("tgb-v0.4", registry)


def test_a_probe_is_changed_option_by_option_or_added_whole(registry):
    probes = {"knn5_l2": {"k": 7}, "knn1": {"use": "knn", "k": 1}}
    record = resolve({"use": "scenes-v1", "probes": probes}, registry)
    assert record.probes["knn5_l2"].options["k"] == 7
    assert record.probes["knn1"].options == {"k": 1, "metric": "l2", "vote": "plain", "temperature": 0.07}
    assert "linear" in record.probes


@pytest.mark.parametrize("others", [{}, {"size": 48}])
def test_a_choice_of_probes_has_the_scores_of_the_whole(registry, others):
    whole = resolve({"use": "scenes-v1", **others}, registry)
    chosen = resolve({"use": "scenes-v1", "probes": ["linear", "knn5_l2"], **others}, registry)
    assert list(chosen.probes) == ["linear", "knn5_l2"] and len(whole.probes) > 2
    assert chosen.id == whole.id
    assert chosen.told(exclude={"probes"}) == whole.told(exclude={"probes"}), "what a score's digest is made of"
    assert all(use == whole.probes[name] for name, use in chosen.probes.items())


def test_one_metric_is_changed_alone(registry):
    record = resolve({"use": "tgb-v0.4", "metrics": {"multi": "micro_f1"}}, registry)
    assert (record.metrics["single"], record.metrics["multi"]) == ("accuracy", "micro_f1")
    assert record.metric("single") == "accuracy"
    with pytest.raises(UserError, match="unknown kind of labels 'depth'"):
        record.metric("depth")


def test_records_are_frozen(registry):
    with pytest.raises(ValidationError):
        resolve("scenes-v1", registry).size = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_every_probe_of_a_protocol_can_be_built(registry, name):
    for use in resolve(name, registry).probes.values():
        registry.build("probe", use.use, options=use.options)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("tgb-v04", "unknown protocol 'tgb-v04', did you mean 'tgb-v0.4'"),
        ({"size": 3}, 'a name or a table with use = "tgb-v0.4"'),
        ({"use": "scenes-v1", "sise": 3}, "no option 'sise', did you mean 'size'"),
        ({"use": "scenes-v1", "size": 0}, "protocols.size: .*greater than or equal to 1"),
        ({"use": "scenes-v1", "normalise": "none"}, "protocols.normalise: .*'native' or 'dataset'"),
        ({"use": "scenes-v1", "metrics": {"single": "acuracy"}}, "metrics.single: unknown metric .*'accuracy'"),
        ({"use": "scenes-v1", "metrics": 3}, "protocols.metrics"),
        ({"use": "scenes-v1", "probes": 3}, "protocols.probes: expected tables"),
        ({"use": "scenes-v1", "probes": ["lineal"]}, "probes: unknown probe 'lineal', did you mean 'linear'"),
        ({"use": "scenes-v1", "probes": [3]}, "protocols.probes: unknown probe 3; there are: "),
        ({"use": "scenes-v1", "probes": []}, "protocols.probes: names no probe; name one of "),
        ({"use": "scenes-v1", "probes": {"linear": 3}}, "protocols.probes.linear: expected a table"),
        ({"use": "scenes-v1", "probes": {"lineal": {"num_c": 3}}}, "unknown probe 'lineal', did you mean 'linear'"),
        ({"use": "scenes-v1", "probes": {"linear": {"numc": 3}}}, "no option 'numc', did you mean 'num_c'"),
        ({"use": "scenes-v1", "probes": {"a": {"use": "knm"}}}, "unknown probe 'knm', did you mean 'knn'"),
    ],
)
def test_mistakes_are_one_line(registry, entry, message):
    with pytest.raises(UserError, match=message) as caught:
        resolve(entry, registry)
    assert "\n" not in str(caught.value)


def test_planning_needs_no_torch():
    code = (
        "import sys; from deo_bench.probes.record import resolve; import deo_bench.probes.intervals; "
        "resolve('tgb-v0.4'); sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
