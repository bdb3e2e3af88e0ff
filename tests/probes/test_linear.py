"""The linear probe's choices: first maximum, merged refit, edge of the grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Reference
from threadpoolctl import threadpool_limits

from deo_bench.errors import UserError
from deo_bench.probes import Fit, Select, _chosen
from deo_bench.probes.calibration import Calibration
from deo_bench.probes.linear import Linear
from deo_bench.probes.linear_sgd import LinearSgd
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
    return Fit(*made(60, 0)), Select(*made(40, 1)), made(50, 2)[0]


def test_chooses_the_first_maximum_and_refits_on_both(splits):
    fit, select, report = splits
    grid = np.logspace(-3, 3, 7)
    values = [
        (
            Reference(C=c, tol=1e-8, max_iter=10_000).fit(fit.features, fit.labels).predict(select.features)
            == select.labels
        ).mean()
        for c in grid
    ]
    best = grid[int(np.argmax(values))]
    assert values.count(max(values)) > 1, "the data must hold equal maxima for this test to say anything"
    for merge in (False, True):
        features = np.concatenate([fit.features, select.features]) if merge else fit.features
        labels = np.concatenate([fit.labels, select.labels]) if merge else fit.labels
        theirs = Reference(C=best, tol=1e-8, max_iter=10_000).fit(features, labels)
        found = Linear(num_c=7, log10_low=-3, log10_high=3).predict(fit, select, report, K, merge)
        assert found.chosen["c"] == pytest.approx(best)
        np.testing.assert_allclose(found.scores, theirs.predict_proba(report), atol=2e-4)
        assert np.array_equal(found.labels, found.scores.argmax(1))


def test_several_labels_are_chosen_by_micro_map(splits, monkeypatch):
    fit, select, report = splits
    several = [np.stack([each.labels == 0, each.labels > 0], 1).astype(np.uint8) for each in (fit, select)]
    asked = []
    monkeypatch.setattr(_chosen, "measure", lambda name, *given: asked.append(name) or measure(name, *given))
    probe = Linear(num_c=5, log10_low=-2, log10_high=2)
    found = probe.predict(Fit(fit.features, several[0]), Select(select.features, several[1]), report, 2, False)
    values = []
    for c in probe.grid:
        ones = [Reference(C=c, tol=1e-8, max_iter=10_000).fit(fit.features, several[0][:, k]) for k in (0, 1)]
        scores = np.stack([each.predict_proba(select.features)[:, 1] for each in ones], 1)
        values.append(measure("micro_map", several[1], scores)[0])
    assert asked == ["micro_map"] * 5
    assert found.chosen["c"] == pytest.approx(probe.grid[int(np.argmax(values))])
    assert found.labels is None
    assert found.scores.shape == (50, 2)


def test_says_when_the_best_lies_on_the_edge(splits):
    fit, select, report = splits
    for low, high, expected in ((-9, -6, True), (-4, 4, False)):
        found = Linear(num_c=9, log10_low=low, log10_high=high).predict(fit, select, report, K, False)
        assert found.chosen["on_edge"] is expected


def test_a_grid_of_one_needs_no_select(splits):
    fit, _, report = splits
    nothing = Select(fit.features[:0], fit.labels[:0])
    found = Linear(num_c=1, log10_low=0, log10_high=0).predict(fit, nothing, report, K, True)
    assert found.chosen == {"c": 1.0, "on_edge": False}


def test_standardising_makes_the_scale_of_features_irrelevant(splits):
    fit, select, report = splits
    scale = np.logspace(-3, 3, 8).astype(np.float32)
    probe = Linear(num_c=3, log10_low=-2, log10_high=0, standardise=True)
    plain = probe.predict(fit, select, report, K, True)
    scaled = probe.predict(
        Fit(fit.features * scale, fit.labels), Select(select.features * scale, select.labels), report * scale, K, True
    )
    np.testing.assert_allclose(plain.scores, scaled.scores, atol=1e-4)


def test_equal_values_keep_the_first(splits, monkeypatch):
    fit, select, report = splits
    monkeypatch.setattr(_chosen, "measure", lambda *_: np.array([0.5]))
    assert Linear(num_c=4, log10_low=-3, log10_high=0).predict(fit, select, report, K, False).chosen["c"] == 1e-3


def test_mistakes_are_one_line(splits):
    fit, select, report = splits
    with pytest.raises(UserError, match="the select split is empty"):
        Linear().predict(fit, Select(select.features[:0], select.labels[:0]), report, K, False)
    with pytest.raises(UserError, match="the select split's label 2"):
        Linear().predict(Fit(fit.features, fit.labels % 2), select, report, 2, False)
    with pytest.raises(UserError, match="C must ascend"):
        Linear(log10_low=2, log10_high=1)


def test_a_label_that_only_select_has_is_learnt_in_the_refit() -> None:
    """Its bias after *fit* lies at infinity, where nothing curves: a refit from there would stay."""
    draws = np.random.default_rng(5)
    features = draws.normal(size=(900, 6)).astype(np.float32)
    labels = (features[:, :4] + draws.normal(size=(900, 4)) > 0).astype(np.uint8)
    labels[:200, 2] = 0
    fit, select = Fit(features[:200], labels[:200]), Select(features[200:600], labels[200:600])
    refitted = Linear(num_c=1, log10_low=0, log10_high=0).predict(fit, select, features[600:], 4, True)
    both = Fit(features[:600], labels[:600])
    cold = Linear(num_c=1, log10_low=0, log10_high=0).predict(both, select, features[600:], 4, False)
    np.testing.assert_allclose(refitted.scores, cold.scores, atol=1e-3)
    assert refitted.scores[:, 2].std() > 0.1


def test_a_small_feature_beside_a_large_one_is_scaled() -> None:
    draws = np.random.default_rng(6)
    labels = draws.integers(0, 2, 400)
    features = np.stack([1e5 * draws.normal(size=400), 1e-4 * (labels + 0.2 * draws.normal(size=400))], 1)
    fit, select = Fit(features[:200], labels[:200]), Select(features[200:300], labels[200:300])
    found = Linear(num_c=3, log10_low=-1, log10_high=1, standardise=True).predict(fit, select, features[300:], 2, False)
    assert (found.labels == labels[300:]).mean() > 0.9


CHOOSERS = [
    (Linear(num_c=3), "say num_c = 1"),
    (Calibration(num_c=3), "say num_c = 1"),
    (LinearSgd(epochs=1), "say one of learning_rates"),
]


@pytest.mark.parametrize(("probe", "said"), CHOOSERS, ids=["linear", "calibration", "linear_sgd"])
def test_nothing_is_chosen_where_select_has_no_positive_label(splits, probe, said) -> None:
    fit, select, report = splits
    fit = Fit(fit.features, np.stack([fit.labels == 0, fit.labels > 0], 1).astype(np.uint8))
    none = Select(select.features, np.zeros((40, 2), np.uint8))
    with pytest.raises(UserError, match=f"^the select split has no positive label.* {said}"):
        probe.predict(fit, none, report, 2, False)


@pytest.mark.parametrize("alone", [Linear(num_c=1, log10_low=0.0), LinearSgd(epochs=1, learning_rates=(1.0,))])
def test_what_has_nothing_to_choose_needs_no_positive_label(splits, alone) -> None:
    fit, select, report = splits
    fit = Fit(fit.features, np.stack([fit.labels == 0, fit.labels > 0], 1).astype(np.uint8))
    for merge in (False, True):
        assert alone.predict(fit, Select(select.features, np.zeros((40, 2), np.uint8)), report, 2, merge).scores.any()


@pytest.mark.parametrize("probe", [probe for probe, _ in CHOOSERS], ids=["linear", "calibration", "linear_sgd"])
@pytest.mark.parametrize("merge", [False, True])
def test_classes_in_fit_and_zeros_and_ones_in_select_do_not_fit(splits, probe, merge) -> None:
    fit, select, report = splits
    ones = np.eye(K, dtype=np.uint8)
    with pytest.raises(UserError, match="^the fit split's labels are class ids, those of the select split zeros"):
        probe.predict(fit, Select(select.features, ones[select.labels]), report, K, merge)
    with pytest.raises(UserError, match="^the fit split's labels are zeros and ones, those of the select split class"):
        probe.predict(Fit(fit.features, ones[fit.labels]), select, report, K, merge)


def test_classes_and_zeros_and_ones_are_not_trained_on_together(splits) -> None:
    fit, select, report = splits
    probe = LinearSgd(epochs=1, learning_rates=(1.0,))
    with pytest.raises(UserError, match="must be of one kind"):
        probe.predict(fit, Select(select.features, np.eye(K)[select.labels]), report, K, True)
