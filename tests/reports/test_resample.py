"""Influences against small changes and the bootstrap itself; predictions that cannot be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deo_bench.errors import StoreError
from deo_bench.probes.metrics import measure
from deo_bench.reports.frame import read_scores
from deo_bench.reports.influence import INFLUENCES
from deo_bench.reports.resample import RESAMPLES, Resampler, read_predictions
from deo_bench.reports.statistics import Measured
from tests.reports.conftest import FakeStore, run_name


def predictions(metric: str, images: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(images)
    if metric == "accuracy":
        return draws.integers(0, 3, images), draws.random((images, 3))
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
