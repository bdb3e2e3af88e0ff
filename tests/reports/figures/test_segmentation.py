"""Maps of classes as colours: one a class, stripes where there is no label, and colours that readers tell apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from deo_bench.reports.figures.segmentation import Maps, painted, segmentation_figure
from deo_bench.reports.figures.style import styled
from deo_bench.reports.palette import IGNORED, class_colours

TRUTH = np.array([[[0, 0, 1, 1], [0, 0, 1, 1], [-1, -1, 2, 2], [-1, -1, 2, 2]]])
NAMES = ("a", "b", "c", "d")


def test_each_class_has_its_colour_and_no_label_has_stripes() -> None:
    image = painted(TRUTH.clip(0), TRUTH, NAMES)[0]
    table = [to_rgb(colour) for colour in class_colours(NAMES)]
    assert [tuple(image[at]) for at in ((0, 0), (0, 2), (3, 3))] == [pytest.approx(table[k]) for k in (0, 1, 2)]
    stripes = {tuple(np.round(each, 6)) for each in image[2:, :2].reshape(-1, 3)}
    assert stripes == {tuple(np.round(to_rgb(colour), 6)) for colour in IGNORED}


def test_the_legend_has_the_classes_that_are_seen() -> None:
    said = np.full_like(TRUTH, 3)
    with styled():
        figure = segmentation_figure(TRUTH, {"row": Maps(said, 0.25)}, ("a", "b", "b", "d"), "here")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b (1)", "b (2)", "d", "no label"]
    assert "25 % right" in [text.get_text() for text in figure.texts] and len(figure.axes) == 2
    bottom = min(axes.get_position().y0 for axes in figure.axes)
    figure.draw_without_rendering()
    assert legend.get_window_extent().transformed(figure.transFigure.inverted()).y1 < bottom


@pytest.mark.parametrize("count", [1, 2, 8, 23, 30])
def test_classes_have_colours_of_their_own(count: int) -> None:
    found = class_colours([str(number) for number in range(count)])
    assert len(found) == count and len(set(found)) == min(count, 23)
    assert not set(found) & set(IGNORED)


def test_a_class_has_the_colour_of_its_name_whatever_its_place() -> None:
    one, other = (dict(zip(names, class_colours(names), strict=True)) for names in (
        ("water", "tree cover", "x"), ("x", "tree cover", "open water", "lake water"),
    ))  # fmt: skip
    assert one["tree cover"] == other["tree cover"] and one["water"] == other["open water"] != other["lake water"]


@pytest.mark.parametrize("kind", ["normal", "protan", "deutan", "tritan"])
def test_eight_classes_are_told_apart_by_everybody(kind: str) -> None:
    """By the distance in CIE Lab of what a dichromat sees (Machado et al., IEEE TVCG 2009, severity 1)."""
    seen = [lab(MACHADO[kind] @ linear(to_rgb(colour))) for colour in class_colours("ABCDEFGH")]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 9


def linear(rgb: tuple[float, float, float]) -> np.ndarray:
    values = np.array(rgb)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab of linear sRGB under D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt((to_xyz @ rgb.clip(0, 1)) / np.array([0.9505, 1.0, 1.089]) + 1e-9)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


MACHADO = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
