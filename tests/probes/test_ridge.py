"""Ridge regression against scikit-learn's and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference

from deo_bench.errors import UserError
from deo_bench.probes import Fit, Select, rows
from deo_bench.probes.ridge import Ridge


def made(size: int, seed: int, width: int = 8) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(size, width)) * np.logspace(-1, 1, width) + 5
    weights = np.random.default_rng(99).normal(size=width)
    return features.astype(np.float32), features @ weights + generator.normal(size=size) * 10 + 3


@pytest.fixture
def splits() -> tuple[Fit, Select, np.ndarray]:
    return Fit(*made(60, 0)), Select(*made(40, 1)), made(50, 2)[0]


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize("size", [60, 6])
def test_equals_scikit_learn(alpha: float, size: int, monkeypatch) -> None:
    # 6 samples of 8 features: many weights fit, the penalty decides.
    monkeypatch.setattr(rows, "BLOCK", 13)
    fit, report = made(size, 0), made(50, 2)[0]
    probe = Ridge(num_alpha=1, log10_low=np.log10(alpha), log10_high=np.log10(alpha))
    found = probe.predict(Fit(*fit), Select(fit[0][:0], fit[1][:0]), report, 0, True)
    theirs = Reference(alpha=alpha, solver="svd").fit(fit[0].astype(np.float64), fit[1]).predict(report)
    assert found.labels is None and found.scores.shape == (50, 1)
    np.testing.assert_allclose(found.scores[:, 0], theirs, rtol=1e-6)
    assert found.chosen == {"alpha": pytest.approx(alpha), "on_edge": False}


@pytest.mark.parametrize("merge", [False, True])
def test_chooses_the_lowest_error_on_select_and_refits_on_both(splits, merge: bool) -> None:
    fit, select, report = splits
    grid = np.logspace(-2, 6, 9)
    errors = [
        np.square(Reference(alpha=a).fit(fit.features, fit.labels).predict(select.features) - select.labels).mean()
        for a in grid
    ]
    best = grid[int(np.argmin(errors))]
    features = np.concatenate([fit.features, select.features]) if merge else fit.features
    values = np.concatenate([fit.labels, select.labels]) if merge else fit.labels
    theirs = Reference(alpha=best).fit(features.astype(np.float64), values).predict(report)
    found = Ridge(num_alpha=9, log10_low=-2, log10_high=6).predict(fit, select, report, 0, merge)
    assert found.chosen == {"alpha": pytest.approx(best), "on_edge": False}
    np.testing.assert_allclose(found.scores[:, 0], theirs, rtol=1e-6)


def test_closed_forms(splits) -> None:
    fit, select, report = splits
    # Without noise and almost without penalty the line is found; an endless penalty leaves the mean.
    line = fit.features.astype(np.float64) @ np.arange(8.0) - 7
    free = Ridge(num_alpha=1, log10_low=-9, log10_high=-9).predict(Fit(fit.features, line), select, report, 0, False)
    np.testing.assert_allclose(free.scores[:, 0], report.astype(np.float64) @ np.arange(8.0) - 7, rtol=1e-6)
    tied = Ridge(num_alpha=1, log10_low=15, log10_high=15).predict(fit, select, report, 0, False)
    np.testing.assert_allclose(tied.scores, fit.labels.mean(), rtol=1e-6)


def test_features_that_do_not_vary_predict_the_mean() -> None:
    same = np.full((5, 3), 2.0, np.float32)
    values = np.arange(5.0)
    for standardise in (False, True):
        found = Ridge(standardise=standardise).predict(Fit(same, values), Select(same, values), same, 0, True)
        np.testing.assert_allclose(found.scores, 2, rtol=1e-12)


def test_standardising_makes_the_scale_of_features_irrelevant(splits) -> None:
    fit, select, report = splits
    scale = np.logspace(-3, 3, 8).astype(np.float32)
    scaled = Fit(fit.features * scale, fit.labels), Select(select.features * scale, select.labels), report * scale
    one, two = (Ridge(standardise=True).predict(*each, 0, True) for each in ((fit, select, report), scaled))
    np.testing.assert_allclose(one.scores, two.scores, rtol=1e-5)
    assert one.chosen["alpha"] == two.chosen["alpha"]


def test_says_when_the_best_lies_on_the_edge_and_repeats_to_the_byte(splits) -> None:
    one, two = (Ridge(num_alpha=3, log10_low=-9, log10_high=-7).predict(*splits, 0, True) for _ in range(2))
    assert one.chosen["on_edge"] is True
    assert one.scores.tobytes() == two.scores.tobytes()


def test_mistakes_are_one_line(splits) -> None:
    fit, select, report = splits
    with pytest.raises(UserError, match="alpha must ascend"):
        Ridge(log10_low=2, log10_high=1)
    with pytest.raises(UserError, match="the select split is empty"):
        Ridge().predict(fit, Select(select.features[:0], select.labels[:0]), report, 0, False)
    with pytest.raises(UserError, match="label nan .row 3. is not a finite number"):
        Ridge().predict(Fit(fit.features, np.where(np.arange(60) == 3, np.nan, fit.labels)), select, report, 0, False)
    with pytest.raises(UserError, match="one number a sample"):
        Ridge().predict(Fit(fit.features, np.eye(60)), select, report, 0, False)
