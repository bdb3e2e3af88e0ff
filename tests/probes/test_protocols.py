"""Protocols are frozen: what is overridden has an id of its own."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from pydantic import ValidationError

from deo_bench.errors import UserError
from deo_bench.probes.protocols import PROTOCOLS
from deo_bench.probes.record import resolve
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
    expected = {"num_c": 40, "log10_low": -6.0, "log10_high": 4.0, "standardise": False}
    assert tgb.probes["linear_lbfgs"].options == expected
    scenes = resolve("scenes-v1", registry)
    # What was scored under them stays comparable: fields that came later are in the content where they say something.
    assert (tgb.content, scenes.content) == ("8127978c", "d023b4c8")
    assert resolve({"use": "tgb-v0.4", "metrics": {"single": "macro_f1"}}, registry).id == "custom-74bd6bef"
    assert resolve({"use": "tgb-v0.4", "metrics": {"change": "miou"}}, registry).id != "tgb-v0.4"
    assert (scenes.size, scenes.normalise) == (None, "native")
    assert list(scenes.probes) == ["knn5_l2", "knn20_cos", "linear"]
    assert scenes.probes["linear"].options["num_c"] == 7


@pytest.mark.parametrize(("name", "content"), [("scenes-v1", "d023b4c8"), ("tgb-v0.4", "8127978c")])
def test_a_published_protocol_never_changes_under_its_name(registry, name, content):
    assert resolve(name, registry).content == content, "give a changed protocol a new name"


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
