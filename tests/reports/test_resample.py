"""Influences against small changes and the bootstrap itself; predictions that cannot be trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.errors import StoreError
from deo_bench.probes.metrics import METRICS, measure
from deo_bench.reports import resample
from deo_bench.reports.frame import read_scores
from deo_bench.reports.influence import INFLUENCES
from deo_bench.reports.resample import RESAMPLES, MetricMisfit, Resampler, read_predictions
from deo_bench.reports.statistics import Measured
from tests.reports.conftest import FakeStore, run_name


def predictions(metric: str, images: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(images)
    if metric == "accuracy":
        return draws.integers(0, 3, images), draws.random((images, 3))
    if METRICS[metric].kinds == ("segmentation", "change"):
        counts = draws.integers(0, 30, (images, 4, 4)) * draws.integers(0, 2, (images, 4, 1))
        counts[:, 3] = counts[:, :, 3] = 0  # a class that is nowhere
        return counts.sum(2), counts
    if metric in ("rmse", "mae") or metric.startswith("mean"):
        numbers = draws.gamma(2, 3, images)
        off = draws.normal(1, 2, (images, 1))
        return numbers, numbers[:, None] + (np.round(off) if ties else off)
    truth = (draws.random((images, 3)) < 0.3).astype(np.uint8)
    scores = truth + draws.normal(0, 1, truth.shape)
    return truth, np.round(scores) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("metric", INFLUENCES)
def test_an_influence_is_the_slope_of_the_metric(metric: str, ties: bool) -> None:
    truth, scores = predictions(metric, 40, ties)
    value, influence = INFLUENCES[metric](truth, scores, None)
    weights = np.ones((41, 40))
    weights[np.arange(40), np.arange(40)] += 1e-6
    found = measure(metric, truth, scores, None, weights)
    assert value == pytest.approx(found[-1])
    assert influence == pytest.approx((found[:-1] - found[-1]) / 1e-6, abs=1e-5)
    assert influence.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("metric", INFLUENCES)
def test_the_spread_is_the_bootstraps(metric: str) -> None:
    truth, scores = predictions(metric, 200, ties=False)
    value, influence = INFLUENCES[metric](truth, scores, None)
    drawn = np.random.default_rng(0).multinomial(200, np.full(200, 1 / 200), size=1000)
    exact = measure(metric, truth, scores, None, drawn)
    assert np.corrcoef(exact, value + drawn @ influence)[0, 1] > 0.99
    assert np.std(drawn @ influence) == pytest.approx(exact.std(), rel=0.04)


@pytest.mark.parametrize("metric", [metric for metric in INFLUENCES if METRICS[metric].kinds[0] == "segmentation"])
def test_without_any_pixel_nothing_moves(metric: str) -> None:
    value, influence = INFLUENCES[metric](np.zeros((5, 2)), np.zeros((5, 2, 2)), None)
    assert np.isnan(value) and not influence.any()


def test_what_is_right_has_no_influence() -> None:
    right = np.arange(6.0)
    value, influence = INFLUENCES["rmse"](right, right[:, None], None)
    assert value == 0 and not influence.any()


@pytest.mark.parametrize("kind", ["dense", "change", "regression", "cost"])
def test_other_kinds_of_predictions_are_measured(fake: FakeStore, kind: str) -> None:
    """With the metric's unit, and groups drawn whole."""
    groups = {} if kind == "cost" else {"groups": np.arange(120) // 6}
    found, _, _ = measured(fake, kind=kind, **groups)
    row = next(read_scores(fake.root).itertuples(index=False))
    assert found.is_share == METRICS[row.metric].is_share
    assert found.units == {"cost": 5}.get(kind, 20)
    exact = measure(row.metric, *(np.load(row.path)[name] for name in ("truth", "scores")))[0]
    assert found.value == pytest.approx(exact) and 0 < found.replicates.std() < 0.3 * exact


def measured(fake: FakeStore, **fields: object) -> tuple[Measured, str, str]:
    fake.score(run_name("a", 0), share=0.4, **fields)
    return Resampler().measure(next(read_scores(fake.root).itertuples(index=False)))


def test_the_same_images_are_drawn_for_everybody(fake: FakeStore) -> None:
    fake.score(run_name("a", 0), share=0.4)
    fake.score(run_name("b", 3), share=0.4, probe="linear")
    one, other = read_scores(fake.root).itertuples(index=False)
    found, again = Resampler().measure(one), Resampler().measure(other)
    assert (found[0].replicates == again[0].replicates).all()
    assert found[0].replicates.shape == (RESAMPLES,)
    assert (found[0].units, found[1] == again[1], found[2] == again[2]) == (120, True, False)
    assert found[0].replicates.std() == pytest.approx(np.sqrt(0.4 * 0.6 / 120), rel=0.1)


def test_groups_are_drawn_whole(fake: FakeStore) -> None:
    found, _, _ = measured(fake, groups=np.arange(120) // 12)
    assert found.units == 10
    assert found.replicates.std() > 2 * np.sqrt(0.4 * 0.6 / 120), "right answers stand in four of ten groups"


def test_predictions_that_tell_another_story_are_refused(fake: FakeStore) -> None:
    path = fake.score(run_name("a", 0), share=0.4)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "value": 0.75}))
    with pytest.raises(StoreError, match=r"give 0\.4000, the score says 0\.7500"):
        Resampler().measure(next(read_scores(fake.root).itertuples(index=False)))


def test_torn_missing_and_pickled_predictions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(StoreError, match="missing"):
        read_predictions(path)
    np.savez(path, truth=np.arange(3), scores=np.zeros((3, 2)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="torn"):
        read_predictions(path)
    np.savez(path, truth=np.array([{}, {}], dtype=object), scores=np.zeros((2, 2)))
    with pytest.raises(StoreError, match="foreign"):
        read_predictions(path)
    np.savez(path, truth=np.arange(3), scores=np.zeros((2, 2)))
    with pytest.raises(StoreError, match="lengths differ"):
        read_predictions(path)
    np.savez(path, truth=np.arange(3))
    with pytest.raises(StoreError, match="lack"):
        read_predictions(path)


def test_a_metric_without_known_influences_is_resampled(fake: FakeStore) -> None:
    path = fake.score(run_name("a", 0), share=0.4)
    record = json.loads(path.read_text())
    with np.load(path.with_suffix(".npz")) as arrays:
        value = float(measure("macro_f1", arrays["truth"], arrays["scores"], arrays["predicted"])[0])
    path.write_text(json.dumps({**record, "metric": "macro_f1", "value": value}))
    found, _, _ = Resampler().measure(next(read_scores(fake.root).itertuples(index=False)))
    assert 0.03 < found.replicates.std() < 0.06


def broken_among_sound(fake: FakeStore) -> list[Any]:
    """Rows of two tasks and two probes, groups in one of them, and one whose predictions are cut."""
    for seed in range(5):
        fake.score(run_name("a", seed), share=0.4 + seed / 50)
        fake.score(run_name("a", seed), share=0.4, probe="linear")
        fake.score(run_name("a", seed), "moist", kind="multi", share=0.6 + seed / 20, groups=np.arange(120) // 5)
    cut = fake.score(run_name("a", 3), share=0.5).with_suffix(".npz")
    cut.write_bytes(cut.read_bytes()[:-9])
    return list(read_scores(fake.root).itertuples(index=False))


def told(measure: Callable[[Any], tuple[Measured, str, str]], row: Any) -> Any:
    try:
        found, images, said = measure(row)
    except StoreError as error:
        return str(error)
    return found.replicates.tolist(), replace(found, replicates=None), images, said


@pytest.mark.parametrize("together", [1, 2, 256])
def test_scores_measured_together_are_what_they_are_alone(
    fake: FakeStore, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    rows = broken_among_sound(fake)
    alone = [told(Resampler().measure, row) for row in rows]
    assert alone.count("its predictions are torn or foreign") == 1
    monkeypatch.setattr(resample, "_TOGETHER", together)
    monkeypatch.setattr(resample, "_SLAB", 1 << 14)
    resampler = Resampler()
    resampler.expect(rows)
    for row, expected in reversed(list(zip(rows, alone, strict=True))):
        found = told(resampler.measure, row)
        if isinstance(expected, str):
            assert found == expected
        else:
            assert found[0] == pytest.approx(expected[0], rel=0, abs=1e-14) and found[1:] == expected[1:]


def test_expected_scores_are_read_once(fake: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, read = broken_among_sound(fake), []
    monkeypatch.setattr(resample, "read_predictions", lambda path: read.append(path) or read_predictions(path))
    resampler = Resampler()
    resampler.expect(rows)
    told(resampler.measure, rows[0])
    assert 1 < len(read) < len(rows), "those of its column, and no others"
    for row in rows[1:]:
        told(resampler.measure, row)
    assert sorted(read) == sorted(row.path for row in rows)


def test_replicates_are_the_metric_on_the_resamples(fake: FakeStore) -> None:
    """Of a mean the influences are exact: what one product gives is what the metric gives on each resample."""
    row = next(read_scores(fake.score(run_name("a", 0), share=0.4) and fake.root).itertuples(index=False))
    found, _, _ = Resampler().measure(row)
    arrays = read_predictions(row.path)
    weights = resample.resamples(120, RESAMPLES, "report", row.task_content)
    exact = measure("accuracy", arrays.truth, arrays.scores, arrays.predicted, weights)
    assert found.replicates == pytest.approx(exact, rel=0, abs=1e-12)


def test_another_metric_is_computed_anew_and_has_no_interval_of_its_own(fake: FakeStore) -> None:
    fake.score(run_name("a", 0), share=0.4)
    row = next(read_scores(fake.root).itertuples(index=False))
    resampler = Resampler()
    resampler.expect([row])
    own, again = resampler.measure(row)[0], resampler.measure_as(row, "macro_f1")[0]
    arrays = read_predictions(row.path)
    assert again.value == measure("macro_f1", arrays.truth, arrays.scores, arrays.predicted)[0] != own.value
    assert (own.low, again.low, again.high) == (pytest.approx(0.35), None, None)
    assert again.replicates.mean() == pytest.approx(again.value, abs=0.03)
    assert (resampler.measure_as(row, "accuracy")[0].replicates == own.replicates).all()
    with pytest.raises(MetricMisfit, match="single-label"):
        resampler.measure_as(row, "micro_map")
    Path(row.path).unlink()
    with pytest.raises(StoreError, match="missing"):
        resampler.measure_as(row, "micro_f1")


def test_predictions_of_fewer_images_than_the_score_says_are_refused(fake: FakeStore) -> None:
    path = fake.score(run_name("a", 0), share=0.5)
    path.write_text(json.dumps({**json.loads(path.read_text()), "n": 121}))
    with pytest.raises(StoreError, match="of 120 images, the score says 121"):
        Resampler().measure(next(read_scores(fake.root).itertuples(index=False)))
