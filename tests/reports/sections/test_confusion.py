"""Matrices against scikit-learn, and which rows they are of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.figures.style import styled
from deo_bench.reports.predictions import Predictions, read_predictions
from deo_bench.reports.sections import confusion
from deo_bench.reports.spec import ReportSpec
from tests.reports.conftest import FakeStore


def answer_of(fake: FakeStore, scope: Scope, *entries: Entry, **spec: Any) -> Answer:
    return make_answer(ReportSpec(**spec), entries, scope, fake.root)


def shown(answer: Answer) -> dict[str, list[Any]]:
    """The panels of each figure by its name."""
    found = {}
    for section in confusion.sections(answer):
        for drawing in section.drawings:
            with styled():
                drawing.draw()
            found[drawing.name] = list(drawing.draw.args[0])  # type: ignore[attr-defined]
    return found


def test_counts_of_several_runs_are_those_of_scikit_learn() -> None:
    draws = np.random.default_rng(0)
    truth = draws.integers(0, 4, 200)
    runs = [Predictions(truth, draws.random((200, 5)), draws.integers(0, 5, 200), None) for _ in range(3)]
    found = confusion.confusion(runs, 5)
    labels = range(5)
    expected = sum(confusion_matrix(truth, run.predicted, labels=labels) for run in runs)
    assert np.array_equal(found.counts, expected)
    shares = confusion_matrix(
        np.tile(truth, 3), np.concatenate([r.predicted for r in runs]), labels=labels, normalize="true"
    )
    assert np.allclose(found.shares, shares) and not found.shares[4].any()
    assert np.array_equal(found.support, np.bincount(truth, minlength=5))


def test_without_decisions_the_highest_score_decides() -> None:
    truth, scores = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    found = confusion.confusion([Predictions(truth, scores, None, None)], 2)
    assert np.array_equal(found.counts, [[1, 0], [1, 1]])


def test_f1_of_labels_that_come_together_is_that_of_scikit_learn() -> None:
    draws = np.random.default_rng(1)
    truth = (draws.random((150, 6)) < [0.5, 0.4, 0.3, 0.2, 0.1, 0]).astype(np.uint8)
    runs = [Predictions(truth, draws.random((150, 6)), None, None) for _ in range(2)]
    found = confusion.confusion(runs, 6)
    said = np.concatenate([run.scores > 0.5 for run in runs])
    assert found.f1 == pytest.approx(f1_score(np.tile(truth, (2, 1)), said, average=None, zero_division=0))
    assert np.array_equal(found.support, truth.sum(0))


def test_the_best_cell_of_each_task_is_shown_with_the_names_of_its_classes(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("worse", [0.5, 0.5]), fake.cell("better", [0.7, 0.8])]
    fake.cell("worse", [0.9, 0.9], "uses", kind="multi")
    fake.cell("better", [0.2, 0.3], "uses", kind="multi")
    names = {"cover": ("lawn", "brick", "cinder", "straw"), "uses": ("too", "few")}
    wide = replace(scope, tasks=("cover", "uses"), classes=names)
    matrix, bars = shown(answer_of(fake, wide, *entries, fake.single("image_stats", 0.99)))["confusion"]
    assert matrix.title == "cover\nbetter" and matrix.names == names["cover"]
    truth, said = [], []
    for path in sorted(fake.root.glob(f"{entries[1].subjects[0][1][:12]}-s*/scores/cover.*.npz")):
        found = read_predictions(path)
        truth += found.truth.tolist()
        said += found.predicted.tolist()  # type: ignore[union-attr]
    assert np.allclose(matrix.shares, confusion_matrix(truth, said, normalize="true"))
    assert bars.title == "uses\nworse" and bars.names == ("0", "1", "2", "3")


def test_two_rows_that_are_named_are_shown_with_their_difference(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.5, 0.5]), fake.cell("b", [0.7, 0.8]), fake.cell("c", [0.9])]
    answer = answer_of(fake, scope, *entries, confusion=("b", "a"))
    first, second, less = shown(answer)["confusion-cover"]
    assert (first.title, second.title) == ("cover\nb", "cover\na")
    assert less.is_difference and np.allclose(less.shares, first.shares - second.shares)
    assert np.diag(less.shares).sum() > 0


def test_only_the_last_weights_on_all_labels_count(fake: FakeStore, scope: Scope) -> None:
    entry = fake.cell("a", [0.9, 0.9])
    plain = shown(answer_of(fake, scope, entry))["confusion"][0].shares
    for other in ({"step": 5}, {"partition": "0.10x_train"}, {"weights": "ema"}, {"task_content": "0" * 64}):
        fake.cell("a", [0.1, 0.1], **other)
    wide = replace(scope, weights=("student", "ema"))
    assert np.array_equal(shown(answer_of(fake, wide, entry))["confusion"][0].shares, plain)


def test_nothing_without_predictions(fake: FakeStore, scope: Scope) -> None:
    entry = fake.cell("a", [0.9])
    for path in fake.root.rglob("*.npz"):
        path.write_bytes(b"torn")
    assert confusion.sections(answer_of(fake, scope, entry)) == []


def test_of_maps_pixels_are_counted_and_each_class_has_its_iou(fake: FakeStore, scope: Scope) -> None:
    """Against scikit-learn over the pixels themselves."""
    entries = [fake.cell("worse", [0.3, 0.4], kind="dense"), fake.cell("better", [0.7, 0.6], kind="dense")]
    wide = replace(scope, classes={"cover": ("water", "forest", "field")})
    matrix, bars = shown(answer_of(fake, wide, *entries))["confusion"]
    counts = sum(
        read_predictions(path).scores.sum(0)
        for path in fake.root.glob(f"{entries[1].subjects[0][1][:12]}-s*/scores/*.npz")
    )
    true = np.repeat(np.repeat(np.arange(3), 3), counts.ravel())
    said = np.repeat(np.tile(np.arange(3), 3), counts.ravel())
    assert np.allclose(matrix.shares, confusion_matrix(true, said, normalize="true"))
    assert bars.values["better"] == pytest.approx(jaccard_score(true, said, average=None))
    assert (matrix.of, bars.of, bars.metric, matrix.names) == ("pixels", "pixels", "IoU", ("water", "forest", "field"))
    assert matrix.support.sum() == 120 * 62, "all pixels but the two without a label"
    drawing = next(each for section in confusion.sections(answer_of(fake, wide, *entries)) for each in section.drawings)
    assert "the test pixels of each class" in drawing.caption and "F1" not in drawing.caption


def test_of_two_named_rows_with_maps_the_difference_is_drawn_too(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell(label, [share], kind="change") for label, share in (("a", 0.3), ("b", 0.9))]
    found = shown(answer_of(fake, scope, *entries, confusion=["b", "a"]))["confusion-cover"]
    assert [type(panel).__name__ for panel in found] == ["Matrix", "Matrix", "Matrix", "Bars"]
    assert found[2].is_difference and np.allclose(found[2].shares, found[0].shares - found[1].shares)
    assert list(found[3].values) == ["b", "a"]


@pytest.mark.parametrize("kind", ["regression", "cost"])
def test_what_is_no_decision_among_classes_is_left_out(fake: FakeStore, scope: Scope, kind: str) -> None:
    entry = fake.cell("a", [0.5, 0.6], kind=kind)
    assert confusion.sections(answer_of(fake, scope, entry)) == []
    fake.cell("a", [0.5, 0.6], "moist")
    (section,) = confusion.sections(answer_of(fake, replace(scope, tasks=("cover", "moist")), entry))
    word = {"regression": "RMSE", "cost": "measured cost"}[kind]
    assert section.notes == (f"Left out, since nothing is taken for a class there: cover ({word}).",)
