"""What matrices and bars show against the data."""

from __future__ import annotations

import numpy as np

from deo_bench.reports.figures.confusion import Bars, Matrix, confusion_figure
from deo_bench.reports.figures.style import encode, styled

SHARES = np.array([[0.9, 0.1, 0.0], [0.25, 0.5, 0.25], [0.0, 0.004, 0.996]])
NAMES = ("lawn", "asphalt", "a class with a name much longer than there is room for")


def matrix(shares: np.ndarray = SHARES, is_difference: bool = False) -> Matrix:
    return Matrix("cover\nema", NAMES, shares, np.array([10, 1200, 30]), is_difference)


def texts(axes: object) -> dict[tuple[float, float], str]:
    return {text.get_position(): text.get_text() for text in axes.texts}  # type: ignore[attr-defined]


def test_a_matrix_has_its_shares_names_and_support() -> None:
    with styled():
        axes = confusion_figure([matrix(), matrix()], "here").axes[0]
    assert np.allclose(axes.collections[0].get_array(), 0.85 * SHARES)
    told = texts(axes)
    assert (told[0, 0], told[1, 0], told[1, 1], told[2, 2]) == ("90", "10", "50", "100")
    assert (2, 0) not in told and (1, 2) not in told  # nothing, and what rounds to nothing
    assert told[2.65, 1] == "1,200"
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["lawn", "asphalt"]
    assert [label.get_text() for label in axes.get_xticklabels()][2] == "a class with a name…"


def test_a_difference_has_signs_and_zero_in_the_middle() -> None:
    less = SHARES - SHARES[::-1]
    with styled():
        axes = confusion_figure([matrix(less, is_difference=True)], "here").axes[0]
    image = axes.collections[0]
    assert image.get_clim() == (-np.abs(less).max(), np.abs(less).max())
    assert np.allclose(image.get_array(), less)
    assert texts(axes)[0, 0] == "+90" and texts(axes)[2, 0] == "-100"


def test_many_classes_have_no_numbers_but_signs_where_a_difference_is_large() -> None:
    shares = np.eye(40) - np.roll(np.eye(40), 1, 1)
    names = tuple(f"class {n}" for n in range(40))
    big = Matrix("cover", names, shares, np.ones(40), is_difference=True)
    with styled():
        axes = confusion_figure([big, big], "here").axes[0]
    told = [text.get_text() for text in axes.texts]
    assert told.count("+") == told.count("−") == 40
    assert len(axes.get_yticklabels()) < 40


def test_bars_are_the_values() -> None:
    values = {"a": np.array([0.2, 0.4]), "b": np.array([1.0, 0.0])}
    bars = Bars("uses", ("water", "road"), values, {"a": ("ema",), "b": ()}, np.array([5, 7]))
    with styled():
        axes = confusion_figure([bars], "here").axes[0]
    assert [patch.get_width() for patch in axes.patches] == [20, 40, 100, 0]
    assert axes.patches[0].get_y() < axes.patches[2].get_y() < axes.patches[1].get_y()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert axes.patches[2].get_hatch() and not axes.patches[0].get_hatch()


def test_panels_stay_on_the_page_and_apart() -> None:
    bars = Bars("uses", NAMES, {"a": np.full(3, 0.5)}, {"a": ()}, np.ones(3))
    with styled():
        figure = confusion_figure([matrix(), bars, matrix(), matrix()], "here")
        figure.draw_without_rendering()
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        page = figure.bbox
    assert all(box.x0 >= -1 and box.y0 >= -1 and box.x1 <= page.x1 and box.y1 <= page.y1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_same_bytes_every_time() -> None:
    def draw() -> object:
        return confusion_figure([matrix()], "here")

    assert encode(draw, "pdf") == encode(draw, "pdf")  # type: ignore[arg-type]
