"""Nearest neighbours against scikit-learn and plain loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from threadpoolctl import threadpool_limits

from deo_bench.errors import UserError
from deo_bench.probes import Fit, Prediction, Probe, Select
from deo_bench.probes.knn import Knn, nearest_rows
from deo_bench.registry import Registry

Run = Callable[..., Prediction]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Problems this small only wait for a second thread."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture
def run(registry: Registry) -> Run:
    def predict(bank, labels, report, num_classes, **options) -> Prediction:
        part: Probe = registry.build("probe", "knn", options=options)
        return part.predict(Fit(bank, labels), Select(bank[:0], labels[:0]), report, num_classes, True)

    return predict


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 150)
    centres = generator.normal(size=(4, 12))
    bank = (centres[labels] + generator.normal(size=(150, 12)) + 3).astype(np.float32)
    report = (centres[generator.integers(0, 4, 60)] + generator.normal(size=(60, 12)) + 3).astype(np.float32)
    return bank, labels, report


@pytest.mark.parametrize("k", [1, 5, 20, 140])
@pytest.mark.parametrize(("metric", "theirs"), [("l2", "euclidean"), ("cosine", "cosine")])
def test_equals_scikit_learn(run, data, k, metric, theirs):
    bank, labels, report = data
    ours = run(bank, labels, report, 4, k=k, metric=metric)
    reference = KNeighborsClassifier(k, metric=theirs, algorithm="brute").fit(bank.astype(float), labels)
    assert np.array_equal(ours.labels, reference.predict(report.astype(float)))
    np.testing.assert_allclose(ours.scores, reference.predict_proba(report.astype(float)), atol=1e-12)
    assert ours.chosen == {}


@pytest.mark.parametrize("k", [5, 20, 200])
@pytest.mark.parametrize(("metric", "theirs"), [("l2", "euclidean"), ("cosine", "cosine")])
def test_weighted_votes_equal_scikit_learns(run, k, metric, theirs):
    bank, labels, report = clustered(400, 3)

    def weigh(distance: np.ndarray) -> np.ndarray:
        return np.exp((1 - distance if metric == "cosine" else -(distance**2) / 2) / 0.5)

    ours = run(bank, labels, report, 4, k=k, metric=metric, vote="weighted", temperature=0.5)
    reference = KNeighborsClassifier(k, metric=theirs, algorithm="brute", weights=weigh)
    reference.fit(bank.astype(float), labels)
    assert np.array_equal(ours.labels, reference.predict(report.astype(float)))
    np.testing.assert_allclose(ours.scores, reference.predict_proba(report.astype(float)), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("k", [5, 20, 200])
def test_tied_votes_equal_scikit_learns(run, k):
    # Few distances repeat but half the votes do: two classes of one mixture.
    bank, labels, report = clustered(400, 4)
    ours = run(bank, labels % 2, report, 2, k=k + k % 2)
    reference = KNeighborsClassifier(k + k % 2, algorithm="brute").fit(bank.astype(float), labels % 2)
    tied = (ours.scores[:, 0] == ours.scores[:, 1]).sum()
    assert k == 200 or tied > 0, "without a tie this test says nothing"
    assert np.array_equal(ours.labels, reference.predict(report.astype(float)))


def clustered(size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bank, its labels and 100 queries of four overlapping classes, off the origin."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(4, 12)) / 2
    labels = generator.integers(0, 4, size)
    bank = (centres[labels] + generator.normal(size=(size, 12)) + 1).astype(np.float32)
    report = (centres[generator.integers(0, 4, 100)] + generator.normal(size=(100, 12)) + 1).astype(np.float32)
    return bank, labels, report


def test_weighted_vote_equals_a_loop(run, data):
    bank, labels, report = data
    ours = run(bank, labels, report, 4, k=20, metric="cosine", vote="weighted", temperature=0.07)
    for row, query in enumerate(report.astype(float)):
        alike = [float(each @ query / np.linalg.norm(each) / np.linalg.norm(query)) for each in bank.astype(float)]
        shares = np.zeros(4)
        for place in sorted(range(len(bank)), key=lambda i: -alike[i])[:20]:
            shares[labels[place]] += np.exp(alike[place] / 0.07)
        np.testing.assert_allclose(ours.scores[row], shares / shares.sum(), rtol=1e-6, atol=1e-9)


def test_several_labels_score_the_neighbours_mean(run, data):
    bank, labels, report = data
    several = np.eye(4, dtype=np.uint8)[labels] | np.eye(4, dtype=np.uint8)[np.roll(labels, 1)]
    ours = run(bank, several, report, 4)
    places, _ = nearest_rows(bank, report, 5, "l2")
    assert ours.labels is None
    np.testing.assert_allclose(ours.scores, several[places].mean(1), atol=1e-12)


def test_of_equal_votes_the_lowest_class_wins(run):
    bank = np.array([[1.0], [-1.0], [5.0]], np.float32)
    ours = run(bank, np.array([2, 1, 0]), np.zeros((1, 1), np.float32), 3, k=2)
    assert ours.labels.tolist() == [1]


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_of_equal_distances_the_lowest_index_is_nearer(metric, monkeypatch):
    # Many more equals than there are spare candidates, over several blocks.
    monkeypatch.setattr("deo_bench.probes.knn.BANK", 16)
    bank = np.tile(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), (50, 1))
    places, _ = nearest_rows(bank, np.array([[0.1, 1.0]], np.float32), 4, metric)
    assert places.tolist() == [[1, 3, 5, 7]]


def test_neighbours_are_exact_far_from_the_origin_and_beside_outliers():
    generator = np.random.default_rng(1)
    bank = generator.normal(size=(400, 8)) * 1e-3 + 1e3
    bank[7] = 1e7
    report = generator.normal(size=(30, 8)) * 1e-3 + 1e3
    places, likeness = nearest_rows(bank, report, 5, "l2")
    distance = ((report[:, None] - bank[None]) ** 2).sum(-1)
    assert np.array_equal(places, np.argsort(distance, 1, kind="stable")[:, :5])
    np.testing.assert_allclose(-2 * likeness, np.sort(distance, 1)[:, :5], rtol=1e-6)


def test_an_offset_costs_no_second_search(data, monkeypatch):
    bank, _, report = data
    monkeypatch.setattr("deo_bench.probes.knn._search", None)
    places, _ = nearest_rows(bank.astype(float) + 1e4, report.astype(float) + 1e4, 5, "l2")
    assert np.array_equal(places, nearest_rows(bank, report, 5, "l2")[0])


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_what_products_confuse_is_compared_anew(metric, monkeypatch):
    # A dozen rows whose likeness to the query differs by less than float32 resolves: all are candidates, none is lost.
    monkeypatch.setattr("deo_bench.probes.knn._search", None)
    generator = np.random.default_rng(2)
    query = generator.normal(size=(1, 16))
    near = query + 1e-4 * generator.normal(size=(12, 16))
    bank = np.concatenate([near, 3 * generator.normal(size=(100, 16))])
    keys, asked = bank, query
    if metric == "cosine":
        keys, asked = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (bank, query))
    expected = np.argsort(((keys - asked) ** 2).sum(1), kind="stable")[:5]
    assert nearest_rows(bank, query, 5, metric)[0][0].tolist() == expected.tolist()


def test_blocks_change_nothing(data, monkeypatch):
    bank, _, report = data
    whole = nearest_rows(bank, report, 7, "l2")
    monkeypatch.setattr("deo_bench.probes.knn.BANK", 11)
    monkeypatch.setattr("deo_bench.probes.knn.QUERIES", 13)
    blocks = nearest_rows(bank, report, 7, "l2")
    assert np.array_equal(whole[0], blocks[0])
    assert np.array_equal(whole[1], blocks[1])


def test_a_few_labels_vote_together_and_say_so(run, data):
    bank, labels, report = data
    ours = run(bank[:3], labels[:3], report, 4, k=5)
    assert ours.chosen == {"k": 3}
    assert np.allclose(ours.scores.sum(1), 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b, y, r: (b, y + 1, r), r"the fit split's label 4 \(row \d+\) is not a class from 0 to 3"),
        (lambda b, y, r: (b[:0], y[:0], r), "the fit split is empty"),
        (lambda b, y, r: (b, y, r[:0]), "the report split is empty"),
        (lambda b, y, r: (b, y, r[:, :5]), "report split are 5 wide, those of the fit split 12"),
        (lambda b, y, r: (b, y[:-1], r), "150 rows of features and 149 of labels"),
        (lambda b, y, r: (b, np.eye(3)[y % 3], r), r"shape \(150, 3\); expected \[N\] class ids or \[N, 4\]"),
        (lambda b, y, r: (b, y, np.where(r == r[3, 0], np.nan, r)), r"report split are not finite \(first in row 3\)"),
    ],
)
def test_mistakes_are_one_line(run, data, change, message):
    with pytest.raises(UserError, match=message) as caught:
        run(*change(*data), 4)
    assert "\n" not in str(caught.value)


def test_of_numbers_the_neighbours_mean_is_scikit_learns():
    generator = np.random.default_rng(5)
    bank, values, queries = generator.normal(size=(60, 4)), generator.normal(size=60), generator.normal(size=(9, 4))
    theirs = KNeighborsRegressor(3).fit(bank, values).predict(queries)
    found = Knn(k=3).predict(Fit(bank, values), Select(bank[:0], values[:0]), queries, 0, True)
    assert found.labels is None and found.scores.shape == (9, 1)
    np.testing.assert_allclose(found.scores[:, 0], theirs, rtol=1e-12)
    weights = KNeighborsRegressor(3, weights=lambda distance: np.exp(-np.square(distance) / 2 / 0.07))
    found = Knn(k=3, vote="weighted").predict(Fit(bank, values), Select(bank[:0], values[:0]), queries, 0, True)
    np.testing.assert_allclose(found.scores[:, 0], weights.fit(bank, values).predict(queries), rtol=1e-9)
    with pytest.raises(UserError, match="label inf .row 1. is not a finite number"):
        Knn(k=3).predict(
            Fit(bank, np.where(np.arange(60) == 1, np.inf, values)), Select(bank, values), queries, 0, True
        )
