"""Metrics of maps of classes, by way of confusion matrices, against torchmetrics and against a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional import classification as reference

from deo_bench.probes.confusion import confusion_matrices
from deo_bench.probes.metrics import measure

N, K, SIDE = 6, 5, 9
IGNORE = 255


@pytest.fixture
def maps():
    """Labels and predictions [N, 9, 9]: a class that is nowhere, one that is only predicted, an image all ignored."""
    generator = np.random.default_rng(0)
    truth = generator.choice([0, 1, 2], p=[0.7, 0.2, 0.1], size=(N, SIDE, SIDE)).astype(np.uint8)
    said = np.where(generator.random(truth.shape) < 0.4, generator.choice([0, 1, 2, 4], size=truth.shape), truth)
    truth[:, 3:5, 2:] = IGNORE
    truth[2] = IGNORE
    return truth, said


def by_loop(truth, said, name):
    """The same metrics, pixel by pixel and class by class."""
    pairs = [(int(t), int(s)) for t, s in zip(truth.ravel(), said.ravel(), strict=True) if t != IGNORE]
    hits, there, either = [0] * K, [0] * K, [0] * K
    for true, predicted in pairs:
        there[true] += 1
        there[predicted] += 1
        hits[true] += true == predicted
        for each in {true, predicted}:
            either[each] += 1
    if name == "pixel_accuracy":
        return sum(hits) / len(pairs)
    if name == "change_iou":
        return hits[1] / either[1]
    if name == "change_f1":
        return 2 * hits[1] / there[1]
    parts, wholes = (hits, either) if name == "miou" else ([2 * each for each in hits], there)
    values = [part / whole for part, whole in zip(parts, wholes, strict=True) if whole]
    return sum(values) / len(values)


def by_torchmetrics(truth, said, name):
    given = {"num_classes": K, "ignore_index": IGNORE}
    pair = torch.tensor(said), torch.tensor(truth).long()
    functions = {
        "miou": lambda: reference.multiclass_jaccard_index(*pair, average="macro", **given),
        "pixel_f1": lambda: reference.multiclass_f1_score(*pair, average="macro", **given),
        "pixel_accuracy": lambda: reference.multiclass_f1_score(*pair, average="micro", **given),
        "change_iou": lambda: reference.multiclass_jaccard_index(*pair, average="none", **given)[1],
        "change_f1": lambda: reference.multiclass_f1_score(*pair, average="none", **given)[1],
    }
    return functions[name]().item()


NAMES = ["miou", "pixel_f1", "pixel_accuracy", "change_iou", "change_f1"]


def measured(name, truth, said, weights=None):
    confusion = confusion_matrices(truth, said, K, IGNORE)
    return measure(name, confusion.sum(2), confusion, weights=weights)


@pytest.mark.parametrize("name", NAMES)
def test_as_torchmetrics_and_as_a_loop(maps, name):
    assert measured(name, *maps) == pytest.approx([by_loop(*maps, name)], abs=1e-12)
    assert measured(name, *maps) == pytest.approx([by_torchmetrics(*maps, name)], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_is_an_image_repeated(maps, name):
    weights = np.random.default_rng(1).multinomial(N, np.full(N, 1 / N), size=5)
    repeated = [by_loop(maps[0].repeat(row, 0), maps[1].repeat(row, 0), name) for row in weights]
    assert measured(name, *maps, weights) == pytest.approx(repeated, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_ignored_pixels_counts_nowhere(maps, name):
    truth, said = maps
    other = np.where(truth == IGNORE, 3, said)
    assert not np.array_equal(other, said)
    assert np.array_equal(measured(name, truth, other), measured(name, truth, said))


def test_confusion_matrices_by_hand():
    truth, said = np.array([[[0, 1], [1, 9]], [[2, 2], [0, 9]]]), np.array([[[0, 1], [2, 2]], [[2, 0], [0, 1]]])
    found = confusion_matrices(truth, said, 3, 9)
    assert found.tolist() == [[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[1, 0, 0], [0, 0, 0], [1, 0, 1]]]
    # Of class 0 one of the two pixels said is right, of class 1 one of two, of class 2 one of three.
    assert measure("miou", found.sum(2), found)[0] == pytest.approx((2 / 3 + 1 / 2 + 1 / 3) / 3)
    assert measure("pixel_accuracy", found.sum(2), found)[0] == pytest.approx(4 / 6)
    everything = confusion_matrices(truth.clip(max=2), said, 3, None)
    assert everything.sum() == 8


def test_nothing_that_counts_is_not_a_number(maps):
    truth, said = maps
    for name in NAMES:
        assert np.isnan(measured(name, np.full_like(truth, IGNORE), said)).all()
    assert np.isnan(measured("change_iou", np.where(truth == 1, 0, truth), np.zeros_like(said))).all()
