"""Which maps are drawn, of which rows, and what is left out with a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deo_bench.errors import UserError
from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.figures.maps import MOST_ACROSS
from deo_bench.reports.predictions import Predictions
from deo_bench.reports.section import Section
from deo_bench.reports.sections import segmentation
from deo_bench.reports.sections.segmentation import MOST_ROWS, labelled
from deo_bench.reports.spec import ReportSpec
from tests.reports.conftest import FakeStore, run_name


def answer_of(fake: FakeStore, scope: Scope, *entries: Entry, **spec: Any) -> Answer:
    return make_answer(ReportSpec(**spec), entries, scope, fake.root)


def only(answer: Answer) -> Section:
    (section,) = segmentation.sections(answer)
    return section


def shown(section: Section) -> list[tuple[str, list[str]]]:
    """Each figure's name and its columns."""
    return [(each.name, list(each.draw.args[1])) for each in section.drawings]  # type: ignore[attr-defined]


def rewrite(fake: FakeStore, subject: str, **arrays: np.ndarray | None) -> None:
    """Change arrays of the predictions of a subject's one score."""
    (path,) = (fake.root / subject / "scores").glob("*.npz")
    with np.load(path) as found:
        kept = {name: found[name] for name in found.files} | arrays
    np.savez(path, **{name: array for name, array in kept.items() if array is not None})


def test_the_first_seed_of_each_row_stands_beside_the_truth(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell("a", [0.5, 0.9], kind="dense"), fake.cell("b", [0.8, 0.1], kind="dense")]
    entries.append(fake.single("pixels", 0.3, of="dense"))
    fake.single("majority", 0.3, of="dense", probe="majority")
    answer = answer_of(fake, replace(scope, classes={"cover": ("water", "forest", "field")}), *entries)
    section = only(answer)
    assert section.title == "Predicted maps" and shown(section) == [("segmentation-cover", ["a", "b", "pixels"])]
    truth, columns, names, where = section.drawings[0].draw.args  # type: ignore[attr-defined]
    assert names == ("water", "forest", "field") and where == "scenes-v1, knn5_l2, s2_10"
    with np.load(next((fake.root / run_name("a", 0) / "scores").glob("*.npz"))) as found:
        assert np.array_equal(columns["a"].maps, found["shown"])
        known = found["shown_truth"] < 255
        assert (truth[~known] == -1).all() and np.array_equal(truth[known], found["shown_truth"][known])
        assert columns["a"].right == pytest.approx((found["shown"] == found["shown_truth"])[known].mean())
    assert "3 test images of cover" in section.drawings[0].caption and "Grey stripes" in section.drawings[0].caption


def test_a_label_that_is_ignored_may_be_the_number_of_a_class() -> None:
    counts = np.array([[[0, 0], [1, 2]]])
    maps = np.array([[[0, 1], [1, 1]]])
    found = Predictions(counts.sum(2), counts, None, None, maps, maps, np.array([0]))
    assert labelled(found).tolist() == [[[-1, 1], [1, 1]]], "class 0 is true of no counted pixel"


def test_rows_are_those_of_the_report_in_its_order(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell(label, [0.5], kind="dense") for label in ("x=1", "y=1", "y=2")]
    section = only(answer_of(fake, scope, *entries, segmentation=["y=*", "x=1"], rows=["x=1"]))
    assert shown(section) == [("segmentation-cover", ["y=1", "y=2", "x=1"])]
    with pytest.raises(UserError, match="segmentation: no row is called 'z'"):
        segmentation.sections(answer_of(fake, scope, *entries, segmentation=["z"]))


def test_many_rows_are_several_figures_and_the_rest_is_told(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell(f"c{number}", [0.5], kind="dense") for number in range(MOST_ROWS + 2)]
    section = only(answer_of(fake, scope, *entries))
    assert [(name, len(columns)) for name, columns in shown(section)] == [
        ("segmentation1-cover", MOST_ACROSS), ("segmentation2-cover", MOST_ACROSS),
    ]  # fmt: skip
    assert section.notes == ("The first 14 of 16 rows; `segmentation` in the report's file chooses others.",)


def test_maps_of_other_images_are_left_out_with_the_reason(fake: FakeStore, scope: Scope) -> None:
    entries = [fake.cell(label, [0.5], kind="dense") for label in "ab"]
    rewrite(fake, run_name("b", 0), shown_images=np.array([0, 1, 2]))
    section = only(answer_of(fake, scope, *entries))
    assert shown(section) == [("segmentation-cover", ["a"])]
    assert section.notes == ("Not shown on cover, since their maps are of other test images: b.",)


@pytest.mark.parametrize(
    "broken",
    [{"shown": None, "shown_truth": None, "shown_images": None}, {"shown_images": np.array([0, 1, 500])},
     {"shown": np.zeros((3, 2, 2), np.uint8)}, {"shown_images": np.array([0])}],
)  # fmt: skip
def test_without_maps_that_fit_there_is_nothing(fake: FakeStore, scope: Scope, broken: dict[str, Any]) -> None:
    entry = fake.cell("a", [0.5], kind="dense")
    rewrite(fake, run_name("a", 0), **broken)
    assert segmentation.sections(answer_of(fake, scope, entry)) == []


@pytest.mark.parametrize("kind", ["single", "multi", "regression", "cost"])
def test_other_tasks_have_no_maps(fake: FakeStore, scope: Scope, kind: str) -> None:
    assert segmentation.sections(answer_of(fake, scope, fake.cell("a", [0.5, 0.6], kind=kind))) == []
