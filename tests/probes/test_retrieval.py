"""Retrieval against a loop, torchmetrics and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.retrieval import RetrievalMAP

from deo_bench.errors import UserError
from deo_bench.probes import Fit, Labelled, Select, retrieval
from deo_bench.probes.retrieval import Retrieval

K = 4


def made(size: int, seed: int, num_labels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(size, 6)).astype(np.float32) + 0.5
    if num_labels == 1:
        return features, generator.integers(0, K, size)
    return features, (generator.random((size, K)) < 0.3).astype(np.uint8)


def likeness(bank: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    bank, query = bank.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return -np.linalg.norm(bank - query, axis=1)
    return bank @ query / np.linalg.norm(bank, axis=1) / np.linalg.norm(query)


def by_loop(bank, labels, query, label, metric: str, k: int | None) -> float:
    order = np.argsort(-likeness(bank, query, metric), kind="stable")[:k]
    hits, total = 0, 0.0
    for rank, row in enumerate(order, 1):
        if (labels[row] == label) if labels.ndim == 1 else (labels[row] & label).any():
            hits += 1
            total += hits / rank
    return total / hits if hits else 0.0


@pytest.mark.parametrize("num_labels", [1, 2])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("k", [None, 5])
def test_equals_a_loop_and_torchmetrics_in_any_block(num_labels: int, metric: str, k: int | None, monkeypatch) -> None:
    monkeypatch.setattr(retrieval, "HELD", 300)
    monkeypatch.setattr(retrieval, "SORTED", 120)
    monkeypatch.setattr(retrieval, "ROWS", 17)
    (bank, labels), (queries, truth) = made(60, 0, num_labels), made(11, 1, num_labels)
    found = Retrieval(k=k, metric=metric).judge(Fit(bank, labels), Labelled(queries, truth), K)
    assert found.scores.shape == (11, 1) and found.labels is None
    expected = [by_loop(bank, labels, *each, metric, k) for each in zip(queries, truth, strict=True)]
    np.testing.assert_allclose(found.scores[:, 0], expected, rtol=1e-12)
    theirs = RetrievalMAP(top_k=k)
    for row, (query, label) in enumerate(zip(queries, truth, strict=True)):
        relevant = labels == label if num_labels == 1 else (labels & label).any(1)
        # torchmetrics takes what is not above 0 for irrelevant.
        alike = torch.from_numpy(likeness(bank, query, metric)) + 100
        theirs.update(alike, torch.from_numpy(relevant), torch.full((60,), row))
    assert found.scores.mean() == pytest.approx(theirs.compute().item(), rel=1e-6)


def test_closed_forms() -> None:
    # One class is found first and one last: ranks 1, 2 of 4, and 3, 4 of 4.
    bank = np.array([[1, 0.0], [1, 0.1], [1, 2], [1, 3]], np.float32)
    labels = np.array([0, 0, 1, 1])
    found = Retrieval().judge(Fit(bank, labels), Labelled(bank[[0, 0]], np.array([0, 1])), 3)
    np.testing.assert_allclose(found.scores[:, 0], [1, (1 / 3 + 2 / 4) / 2])
    nothing = Retrieval().judge(Fit(bank, labels), Labelled(bank[:1], np.array([2])), 3)
    assert nothing.scores.tolist() == [[0.0]]
    unlabelled = Retrieval().judge(Fit(bank, np.eye(2)[labels]), Labelled(bank[:1], np.zeros((1, 2))), 2)
    assert unlabelled.scores.tolist() == [[0.0]]


def test_equal_likeness_keeps_the_order_of_rows() -> None:
    # Products of equal rows differ in their last bit, by where a row stands in the matrix.
    generator = np.random.default_rng(0)
    bank, queries = np.repeat(generator.normal(size=(1, 301)), 67, 0), generator.normal(size=(5, 301))
    labels = np.arange(67) // 34
    for metric in ("cosine", "l2"):
        found = Retrieval(metric=metric).judge(Fit(bank, labels), Labelled(queries, np.zeros(5, int)), 2)
        assert (found.scores == 1).all()


def test_distance_far_from_the_origin_keeps_its_digits() -> None:
    generator = np.random.default_rng(3)
    bank, queries = generator.normal(size=(80, 8)), generator.normal(size=(7, 8))
    labels, truth = generator.integers(0, K, 80), generator.integers(0, K, 7)
    near = Retrieval(metric="l2").judge(Fit(bank, labels), Labelled(queries, truth), K)
    far = Retrieval(metric="l2").judge(Fit(bank + 1e6, labels), Labelled(queries + 1e6, truth), K)
    np.testing.assert_array_equal(near.scores, far.scores)


def test_repeats_to_the_byte() -> None:
    given = Fit(*made(50, 0)), Labelled(*made(9, 1)), K
    assert Retrieval().judge(*given).scores.tobytes() == Retrieval().judge(*given).scores.tobytes()


def test_mistakes_are_one_line() -> None:
    fit, report = Fit(*made(20, 0)), Labelled(*made(5, 1))
    with pytest.raises(UserError, match="judges the report split by its labels"):
        Retrieval().predict(fit, Select(*made(5, 2)), report.features, K, False)
    with pytest.raises(UserError, match="the report split are 5 wide"):
        Retrieval().judge(fit, Labelled(report.features[:, :5], report.labels), K)
    with pytest.raises(UserError, match="the report split's label [23]"):
        Retrieval().judge(Fit(fit.features, fit.labels % 2), report, 2)
    with pytest.raises(UserError, match="one label an image"):
        Retrieval().judge(fit, Labelled(report.features, np.ones((5, K))), K)
    with pytest.raises(UserError, match="the fit split is empty"):
        Retrieval().judge(Fit(fit.features[:0], fit.labels[:0]), report, K)
