"""Calibration against torchmetrics, scipy's minimiser, and classifiers whose calibration is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from threadpoolctl import threadpool_limits
from torch.nn import functional as F
from torchmetrics import CalibrationError

from deo_bench.errors import UserError
from deo_bench.probes import Fit, Select
from deo_bench.probes.calibration import COLDEST, HOTTEST, Calibration, fitted_temperature
from deo_bench.probes.linear import Linear
from deo_bench.probes.metrics import measure

K = 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Problems this small only wait for a second thread."""
    with threadpool_limits(1):
        yield


def made(size: int, seed: int, noise: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, K, size)
    centres = np.random.default_rng(99).normal(size=(K, 8))
    return (centres[labels] + noise * generator.normal(size=(size, 8))).astype(np.float32), labels


@pytest.fixture
def splits() -> tuple[Fit, Select, np.ndarray]:
    return Fit(*made(60, 0)), Select(*made(80, 1)), made(50, 2)[0]


def several(labels: np.ndarray) -> np.ndarray:
    return np.stack([labels == 0, labels > 0], 1).astype(np.uint8)


def probe(temperature: str) -> Calibration:
    return Calibration(temperature=temperature, num_c=5, log10_low=-2, log10_high=2)


@pytest.mark.parametrize("is_multi", [False, True])
def test_without_a_temperature_it_is_the_linear_probe_never_merged(splits, is_multi: bool) -> None:
    fit, select, report = splits
    if is_multi:
        fit, select = Fit(fit.features, several(fit.labels)), Select(select.features, several(select.labels))
    found = probe("none").predict(fit, select, report, K - is_multi, True)
    theirs = Linear(num_c=5, log10_low=-2, log10_high=2).predict(fit, select, report, K - is_multi, False)
    np.testing.assert_array_equal(found.scores, theirs.scores)
    assert found.chosen == theirs.chosen


@pytest.mark.parametrize("is_multi", [False, True])
def test_the_temperature_minimises_the_cross_entropy(is_multi: bool) -> None:
    generator = np.random.default_rng(0)
    logits = torch.from_numpy(generator.normal(size=(200, K)) * 7)
    labels = (logits + torch.from_numpy(generator.normal(size=(200, K)) * 4)).argmax(1).numpy()
    truth = np.eye(K)[labels] if is_multi else labels

    def loss(log_temperature: float) -> float:
        scaled, wanted = logits / np.exp(log_temperature), torch.from_numpy(truth)
        if is_multi:
            return F.binary_cross_entropy_with_logits(scaled, wanted).item()
        return F.cross_entropy(scaled, wanted).item()

    theirs = minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-10})
    assert fitted_temperature(logits, truth) == pytest.approx(np.exp(theirs.x), rel=1e-5)
    assert fitted_temperature(3 * logits, truth) == pytest.approx(3 * np.exp(theirs.x), rel=1e-5)


def test_a_calibrated_classifier_keeps_its_temperature() -> None:
    # Three samples of four are of the class that has probability 3/4: the cross-entropy is lowest as it is.
    logits = torch.tensor([[3.0, 1.0]]).double().log().expand(4, 2)
    assert fitted_temperature(logits, np.array([0, 0, 0, 1])) == pytest.approx(1, rel=1e-9)
    # Half the logits, twice as unsure as it may be.
    assert fitted_temperature(logits / 2, np.array([0, 0, 0, 1])) == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize("is_multi", [False, True])
def test_its_metric_is_torchmetrics_calibration_error_and_a_temperature_lowers_it(is_multi: bool) -> None:
    fit, select, (report, truth), num = Fit(*made(40, 0)), Select(*made(400, 1)), made(2000, 2), K
    if is_multi:
        fit, select = Fit(fit.features, several(fit.labels)), Select(select.features, several(select.labels))
        truth, num = several(truth), 2
    errors = []
    for temperature in ("none", "select"):
        sure = Calibration(temperature=temperature, num_c=1, log10_low=3, log10_high=3)
        scores = sure.predict(fit, select, report, num, False).scores
        errors.append(measure("ece", truth, scores)[0])
        settings = {"task": "binary"} if is_multi else {"task": "multiclass", "num_classes": K}
        theirs = CalibrationError(**settings, n_bins=15, norm="l1")
        given = (scores.ravel(), truth.ravel()) if is_multi else (scores, truth)
        expected = theirs(*(torch.from_numpy(np.asarray(each)) for each in given))
        assert errors[-1] == pytest.approx(expected.item(), abs=1e-6)
    assert errors[1] < errors[0]


def test_where_there_is_no_best_the_end_is_taken() -> None:
    right = torch.eye(3).double()
    assert fitted_temperature(right, np.arange(3)) == COLDEST
    assert fitted_temperature(right, (np.arange(3) + 1) % 3) == HOTTEST


def test_the_temperature_comes_from_select_and_moves_no_decision(splits) -> None:
    fit, select, report = splits
    # A large C alone: the classifier is much too sure.
    sure = {"num_c": 1, "log10_low": 4, "log10_high": 4}
    plain = Calibration(temperature="none", **sure).predict(fit, select, report, K, True)
    cooled = Calibration(temperature="select", **sure).predict(fit, select, report, K, True)
    np.testing.assert_array_equal(plain.labels, cooled.labels)
    temperature = cooled.chosen["temperature"]
    assert temperature > 2
    np.testing.assert_allclose(
        torch.from_numpy(plain.scores).log().div(temperature).softmax(1).numpy(), cooled.scores, rtol=1e-9
    )
    on_select = Linear(**sure).predict(fit, select, select.features, K, False).scores
    assert temperature == pytest.approx(fitted_temperature(torch.from_numpy(on_select).log(), select.labels), rel=1e-9)


def test_repeats_to_the_byte(splits) -> None:
    one, two = (probe("select").predict(*splits, K, True) for _ in range(2))
    assert one.scores.tobytes() == two.scores.tobytes() and one.chosen == two.chosen


def test_mistakes_are_one_line(splits) -> None:
    fit, select, report = splits
    with pytest.raises(UserError, match="C must ascend"):
        Calibration(log10_low=2, log10_high=1)
    with pytest.raises(UserError, match="the select split is empty"):
        Calibration(num_c=1).predict(fit, Select(select.features[:0], select.labels[:0]), report, K, True)
    with pytest.raises(UserError, match="the report split are not finite"):
        Calibration(num_c=1).predict(fit, select, np.full_like(report, np.nan), K, True)


def test_a_class_that_fit_lacks_says_nothing_of_the_temperature() -> None:
    draws = np.random.default_rng(3)
    labels = draws.integers(0, 4, 300)
    features = (2 * np.eye(4)[labels] + draws.normal(size=(300, 4))).astype(np.float32)
    seen = np.flatnonzero(labels[:150] > 0)
    fit, select = Fit(features[seen], labels[seen]), Select(features[150:250], labels[150:250])
    probe = Calibration(temperature="select", num_c=1, log10_low=2, log10_high=2)
    whole = probe.predict(fit, select, features[250:], 4, False)
    kept = np.flatnonzero(select.labels > 0)
    without = Select(select.features[kept], select.labels[kept])
    fewer = probe.predict(fit, without, features[250:], 4, False)
    assert whole.chosen["temperature"] == fewer.chosen["temperature"] and 0.2 < whole.chosen["temperature"] < 20
