"""Metrics against torchmetrics, and weights against repeated samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torchmetrics.functional import classification as reference
from torchmetrics.functional import regression as numeric

from deo_bench.errors import UserError
from deo_bench.probes.metrics import METRICS, measure

N, K = 120, 5


@pytest.fixture
def single() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, K, N)
    return truth, generator.random((N, K)) + 0.7 * np.eye(K)[truth]


@pytest.fixture
def multi() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    truth = (generator.random((N, K)) < [0.1, 0.3, 0.5, 0.6, 0.9]).astype(np.uint8)
    # Two decimals: many scores are equal, so that thresholds are shared.
    return truth, ((generator.random((N, K)) + 0.4 * truth) / 1.4).round(2)


@pytest.mark.parametrize(
    ("name", "function", "average"),
    [
        ("accuracy", reference.multiclass_accuracy, "micro"),
        ("micro_f1", reference.multiclass_f1_score, "micro"),
        ("macro_f1", reference.multiclass_f1_score, "macro"),
    ],
)
def test_class_ids_as_torchmetrics(single, name, function, average):
    truth, scores = single
    expected = function(torch.tensor(scores), torch.tensor(truth), num_classes=K, average=average)
    assert measure(name, truth, scores) == pytest.approx([expected.item()], abs=1e-6)


def test_macro_f1_leaves_out_classes_that_are_nowhere(single):
    truth, scores = single
    scores[:, 4] = -1
    truth = np.where(truth == 4, 0, truth)
    expected = reference.multiclass_f1_score(torch.tensor(scores), torch.tensor(truth), num_classes=K, average="macro")
    assert measure("macro_f1", truth, scores) == pytest.approx([expected.item()], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "function", "average"),
    [
        ("micro_f1", reference.multilabel_f1_score, "micro"),
        ("macro_f1", reference.multilabel_f1_score, "macro"),
        ("micro_map", reference.multilabel_average_precision, "micro"),
        ("macro_map", reference.multilabel_average_precision, "macro"),
    ],
)
def test_zeros_and_ones_as_torchmetrics(multi, name, function, average):
    truth, scores = multi
    expected = function(torch.tensor(scores), torch.tensor(truth).int(), num_labels=K, average=average)
    assert measure(name, truth, scores) == pytest.approx([expected.item()], abs=1e-6)


@pytest.fixture
def pixels() -> tuple[np.ndarray, np.ndarray]:
    confusion = np.random.default_rng(3).integers(0, 40, (N, K, K)) * (1 + 3 * np.eye(K, dtype=np.int64))
    return confusion.sum(2), confusion


@pytest.fixture
def numbers() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(4)
    truth = generator.normal(3, 2, N)
    return truth, (truth + generator.normal(0.2, 1, N))[:, None]


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_weight_is_a_repetition(single, multi, pixels, numbers, name, monkeypatch):
    monkeypatch.setattr("deo_bench.probes.metrics.BLOCK", 2 * N)
    data = {"single": single, "multi": multi, "regression": numbers, "segmentation": pixels}
    truth, scores = next(given for kind, given in data.items() if kind in METRICS[name].kinds)
    if name == "ece":
        scores = scores / scores.sum(1, keepdims=True)
    weights = np.random.default_rng(2).multinomial(N, np.full(N, 1 / N), size=7)
    found = measure(name, truth, scores, weights=weights)
    for row, value in zip(weights, found, strict=True):
        assert measure(name, np.repeat(truth, row, 0), np.repeat(scores, row, 0))[0] == pytest.approx(value, abs=1e-12)


def test_errors_of_numbers_equal_torchmetrics(numbers):
    truth, scores = numbers
    said, true = torch.from_numpy(scores[:, 0]), torch.from_numpy(truth)
    assert measure("rmse", truth, scores)[0] == pytest.approx(numeric.mean_squared_error(said, true) ** 0.5)
    assert measure("mae", truth, scores)[0] == pytest.approx(numeric.mean_absolute_error(said, true).item())
    assert measure("r2", truth, scores)[0] == pytest.approx(numeric.r2_score(said, true).item())
    assert np.isnan(measure("r2", np.full(4, 2.0), np.ones((4, 1)))[0])


@pytest.mark.parametrize(("scale", "offset"), [(1e-7, 0.0), (1.0, 1e6), (1.0, 1e9), (1e-6, 5.0), (1e5, -1e7)])
def test_explained_variance_has_no_unit(numbers, scale, offset):
    truth, scores = scale * numbers[0] + offset, scale * numbers[1] + offset
    weights = np.random.default_rng(2).multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=7)
    expected = [r2_score(np.repeat(truth, row), np.repeat(scores[:, 0], row)) for row in weights]
    np.testing.assert_allclose(measure("r2", truth, scores, weights=weights), expected, atol=1e-6)
    alike = np.zeros((1, len(truth)), np.float32)
    alike[0, 3] = 5
    assert np.isnan(measure("r2", truth, scores, weights=alike)[0]), "one image over and over does not vary"
    assert np.isnan(measure("r2", np.full(9, scale / 3 + offset), scores[:9])[0])


def test_calibration_error_equals_torchmetrics(single):
    truth, scores = single
    shares = np.exp(2 * scores) / np.exp(2 * scores).sum(1, keepdims=True)
    given = torch.from_numpy(shares), torch.from_numpy(truth)
    expected = reference.multiclass_calibration_error(*given, num_classes=K, n_bins=15, norm="l1")
    assert measure("ece", truth, shares)[0] == pytest.approx(expected.item(), abs=1e-6)
    # Always sure and right four times in five: off by a fifth.
    sure = np.eye(2)[np.zeros(10, dtype=int)]
    assert measure("ece", np.array([0] * 8 + [1] * 2), sure)[0] == pytest.approx(0.2)


def test_calibration_error_of_several_labels_is_of_all_decisions(multi):
    truth, scores = multi
    shares = 1 / (1 + np.exp(-scores.astype(np.float64)))
    given = torch.from_numpy(shares).flatten(), torch.from_numpy(truth).flatten().long()
    expected = reference.binary_calibration_error(*given, n_bins=15, norm="l1")
    assert measure("ece", truth, shares)[0] == pytest.approx(expected.item(), abs=1e-6)
    weights = np.random.default_rng(3).multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=2)
    for row, value in zip(weights, measure("ece", truth, shares, weights=weights), strict=True):
        assert measure("ece", np.repeat(truth, row, 0), np.repeat(shares, row, 0))[0] == pytest.approx(value)


def test_given_labels_are_the_decision(single):
    truth, scores = single
    assert measure("accuracy", truth, scores, labels=truth)[0] == 1.0


def test_average_precision_without_positives_is_not_a_number(multi):
    _, scores = multi
    assert np.isnan(measure("micro_map", np.zeros_like(scores), scores)[0])
    truth = np.zeros_like(scores)
    truth[:5, 2] = 1
    alone = measure("micro_map", truth[:, 2:3], scores[:, 2:3])
    assert measure("macro_map", truth, scores) == pytest.approx(alone)


def test_mistakes_are_one_line(single, multi):
    with pytest.raises(UserError, match="unknown metric 'acuracy', did you mean 'accuracy'"):
        measure("acuracy", *single)
    with pytest.raises(UserError, match="'micro_map' does not fit single-label data; say one of accuracy"):
        measure("micro_map", *single)
    with pytest.raises(UserError, match="0 labels and 0 predictions"):
        measure("accuracy", np.zeros(0, int), np.zeros((0, K)))
