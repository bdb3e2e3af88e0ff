"""The solver against scikit-learn at its tightest, in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Reference
from threadpoolctl import threadpool_limits

from deo_bench.probes import logistic
from deo_bench.probes.logistic import LogisticRegression, Weights, solve, solve_path

N, D, K = 240, 12, 4


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Problems this small only wait for a second thread."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, K, N)
    # Off the origin and of very different spreads, as features that nobody standardised are.
    features = generator.normal(size=(K, D))[labels] + 2 * generator.normal(size=(N, D))
    return features * np.logspace(0.5, -1.5, D) + 3, labels


def single_objective(weight: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray, c: float) -> float:
    """mean CE + sum W^2 / (2 C n), written out sample by sample."""
    total = 0.0
    for row, label in zip(x @ weight + bias, y, strict=True):
        total += np.log(np.exp(row - row.max()).sum()) + row.max() - row[label]
    return total / len(x) + (weight**2).sum() / (2 * c * len(x))


def multi_objective(weight: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray, c: float) -> float:
    """The mean over samples and labels of BCE + sum W^2 / (2 C n K)."""
    sign = 1.0 - 2.0 * y
    return np.logaddexp(0, sign * (x @ weight + bias)).mean() + (weight**2).sum() / (2 * c * y.size)


@pytest.mark.parametrize("c", [1e-6, 1e-3, 1.0, 100.0, 1e4])
def test_reaches_scikit_learns_objective(data, c):
    features, labels = data
    train, test = slice(0, 160), slice(160, None)
    ours = solve(features[train], labels[train], K, c)
    theirs = Reference(C=c, tol=1e-8, max_iter=100_000).fit(features[train], labels[train])
    reached = single_objective(ours.weight.numpy(), ours.bias.numpy(), features[train], labels[train], c)
    expected = single_objective(theirs.coef_.T, theirs.intercept_, features[train], labels[train], c)
    assert reached == pytest.approx(ours.objective, rel=1e-9)
    assert reached <= expected * (1 + (1e-6 if c <= 100 else 1e-3))
    assert expected <= reached * (1 + (1e-6 if c <= 100 else 1e-3))
    right = (ours.logits(features[test]).argmax(1).numpy() == labels[test]).sum()
    assert abs(int(right) - int((theirs.predict(features[test]) == labels[test]).sum())) <= 1


TGB, DINOV3 = np.logspace(-6, 4, 40), np.logspace(-6, 5, 45)
"""The grids of torchgeo-bench 0.4 and of DINOv3."""


@pytest.mark.parametrize("grid", [TGB, DINOV3[-4:]], ids=["tgb-v0.4", "dinov3"])
@pytest.mark.parametrize("is_multi", [False, True], ids=["single", "multi"])
def test_a_whole_grid_equals_scikit_learns(data, grid, is_multi, monkeypatch):
    # As if there were more features than float64 is spent on: `double` has to ask for it.
    monkeypatch.setattr(logistic, "SMALL", 0)
    features, labels = data
    features = features[:, :5].astype(np.float32)  # few and alike, for scikit-learn's sake
    truth = np.stack([labels == 0, labels > 1, labels == 3], 1).astype(np.int64) if is_multi else labels
    x, y, test, right = features[:160], truth[:160], features[160:], truth[160:]
    last = None
    for c, ours in zip(grid, solve_path(x, y, 3 if is_multi else K, grid, double=True), strict=True):
        last = theirs(x.astype(float), y, c, last)
        weight, bias = last
        expected = (multi_objective if is_multi else quick_objective)(weight, bias, x, y, c)
        assert ours.weight.dtype == torch.float64
        assert ours.objective == pytest.approx(expected, rel=1e-6 if c <= 100 else 1e-3)
        mine, other = ours.logits(test).numpy(), test @ weight + bias
        if is_multi:
            assert (np.abs(((mine > 0) == right).sum(0) - ((other > 0) == right).sum(0)) <= 1).all()
        else:
            assert abs(int((mine.argmax(1) == right).sum()) - int((other.argmax(1) == right).sum())) <= 1


def theirs(x: np.ndarray, y: np.ndarray, c: float, last: tuple[np.ndarray, np.ndarray] | None) -> tuple:
    """scikit-learn's weight [D, K] and bias [K] at tol 1e-8, one-vs-rest of labels [N, K], from the C before."""
    found = []
    for k, column in enumerate([y] if y.ndim == 1 else y.T):
        model = Reference(C=c, tol=1e-8, max_iter=100_000, warm_start=True)
        if last is not None:
            here = slice(None) if y.ndim == 1 else slice(k, k + 1)
            model.coef_, model.intercept_ = last[0].T[here].copy(), last[1][here].copy()
            model.classes_ = np.unique(column)
        found.append(model.fit(x, column))
    return np.concatenate([m.coef_ for m in found]).T, np.concatenate([m.intercept_ for m in found])


def quick_objective(weight: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray, c: float) -> float:
    """`single_objective`, all samples at once."""
    logits = x.astype(float) @ weight + bias
    top = logits.max(1)
    loss = np.log(np.exp(logits - top[:, None]).sum(1)) + top - logits[np.arange(len(x)), y]
    return loss.mean() + (weight**2).sum() / (2 * c * len(x))


@pytest.mark.parametrize("c", [1e-3, 1.0, 100.0])
def test_several_labels_are_one_problem_each(data, c):
    features, labels = data
    several = np.stack([labels == 0, labels > 1, labels == 3], 1).astype(np.int64)
    ours = solve(features, several, 3, c)
    theirs = [Reference(C=c, tol=1e-8, max_iter=100_000).fit(features, several[:, k]) for k in range(3)]
    weight = np.stack([each.coef_[0] for each in theirs], 1)
    bias = np.array([each.intercept_[0] for each in theirs])
    expected = multi_objective(weight, bias, features, several, c)
    reached = multi_objective(ours.weight.numpy(), ours.bias.numpy(), features, several, c)
    assert reached == pytest.approx(ours.objective, rel=1e-9)
    assert reached == pytest.approx(expected, rel=1e-6)


def test_float32_comes_close(data, monkeypatch):
    features, labels = data
    exact = solve(features, labels, K, 10.0)
    monkeypatch.setattr(logistic, "SMALL", 0)
    single = solve(features.astype(np.float32), labels, K, 10.0)
    assert single.weight.dtype == torch.float32
    assert single.objective == pytest.approx(exact.objective, rel=1e-5)


def test_a_start_saves_passes_and_moves_no_optimum(data):
    features, labels = data
    grid = np.logspace(-2, 2, 9).tolist()
    path = list(solve_path(features, labels, K, grid))
    problem = LogisticRegression(features, labels, K)
    cold = [problem.solve(c) for c in grid]
    assert sum(each.passes for each in path) < sum(each.passes for each in cold)
    for warm, alone in zip(path, cold, strict=True):
        assert warm.objective == pytest.approx(alone.objective, rel=1e-7)


def test_same_input_same_bits(data):
    features, labels = data
    assert torch.equal(solve(features, labels, K, 1.0).weight, solve(features, labels, K, 1.0).weight)


def test_a_class_that_fit_lacks_is_never_predicted(data):
    features, labels = data
    kept = labels != 2
    found = solve(features[kept], labels[kept], K, 1.0)
    assert not (found.logits(features).argmax(1) == 2).any()
    two = solve(features[kept], np.searchsorted([0, 1, 3], labels[kept]), 3, 1.0)
    torch.testing.assert_close(found.weight[:, [0, 1, 3]], two.weight)


def test_labels_that_never_change_have_a_far_bias(data):
    features, labels = data
    several = np.stack([labels == 0, np.zeros(N), np.ones(N)], 1)
    found = solve(features, several, 3, 1.0)
    assert found.logits(features).sigmoid()[:, 1].max() == 0.0
    assert found.logits(features).sigmoid()[:, 2].min() == 1.0


def test_collapsed_features_give_the_classes_shares(data):
    _, labels = data
    found = solve(np.full((N, 3), 0.1), labels, K, 1.0)
    shares = torch.from_numpy(np.bincount(labels) / N)
    torch.testing.assert_close(found.logits(np.full((1, 3), 0.1)).softmax(1)[0], shares, rtol=1e-4, atol=1e-5)


def test_more_features_than_samples(data):
    features, labels = data
    wide = np.concatenate([features, features**2, np.sin(features)], 1)[:20]
    ours = solve(wide, labels[:20], K, 0.1)
    theirs = Reference(C=0.1, tol=1e-10, max_iter=100_000).fit(wide, labels[:20])
    expected = single_objective(theirs.coef_.T, theirs.intercept_, wide, labels[:20], 0.1)
    assert ours.objective == pytest.approx(expected, rel=1e-6)


def test_one_class_needs_no_solving(data):
    features, _ = data
    found = solve(features, np.ones(N, int), K, 1.0)
    assert isinstance(found, Weights)
    assert (found.logits(features).argmax(1) == 1).all()
