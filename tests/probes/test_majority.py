"""The majority baseline."""

from __future__ import annotations

import numpy as np
import pytest

from deo_bench.errors import UserError
from deo_bench.probes import Fit, Select
from deo_bench.probes.majority import Majority


def predict(labels: np.ndarray, num_classes: int):
    nothing = np.zeros((len(labels), 0))
    return Majority().predict(Fit(nothing, labels), Select(nothing, labels), np.zeros((4, 0)), num_classes, True)


def test_most_frequent_class_and_the_lowest_of_equals():
    assert predict(np.array([2, 2, 1]), 4).labels.tolist() == [2] * 4
    assert predict(np.array([3, 1, 3, 1]), 4).labels.tolist() == [1] * 4
    np.testing.assert_allclose(predict(np.array([2, 2, 1]), 4).scores[0], [0, 1 / 3, 2 / 3, 0])


def test_label_frequencies():
    found = predict(np.array([[1, 0], [1, 1]]), 2)
    assert found.labels is None
    np.testing.assert_allclose(found.scores, [[1, 0.5]] * 4)


def test_an_empty_fit_is_an_error():
    with pytest.raises(UserError, match="the fit split is empty"):
        predict(np.zeros(0, int), 2)
