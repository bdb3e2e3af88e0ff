"""What a figure of curves shows against the data."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from deo_bench.reports.figures.curves import Curve, Panel, curves_figure
from deo_bench.reports.figures.scales import set_scale, short
from deo_bench.reports.figures.style import encode, styled
from deo_bench.reports.palette import colours
from deo_bench.reports.statistics import Estimate


def curve(label: str, values: dict[float, float], teachers: tuple[str, ...] = ("ema",), **kind: bool) -> Curve:
    points = tuple((x, Estimate(value, value - 0.02, value + 0.04, 3, 4.0)) for x, value in values.items())
    return Curve(label, teachers, points, **kind)


A, B = {0: 0.3, 100: 0.5, 5000: 0.6}, {0: 0.3, 100: 0.4, 5000: 0.7}


def test_lines_and_bands_are_the_estimates() -> None:
    with styled():
        figure = curves_figure([Panel("cover", (curve("a", A), curve("b", B)))], "steps", "here")
        axes = figure.axes[0]
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert np.allclose(drawn["a"], [(x, 100 * value) for x, value in A.items()])
    assert np.allclose(drawn["b"], [(x, 100 * value) for x, value in B.items()])
    band = axes.collections[0].get_paths()[0].vertices
    at_end = band[band[:, 0] == 5000, 1]
    assert (at_end.min(), at_end.max()) == pytest.approx((58, 64))
    assert axes.get_xscale() == "symlog"
    assert axes.get_xticks().tolist() == [0, 100, 5000]


def test_rows_of_one_teacher_differ_in_their_mark_and_averages_are_dashed() -> None:
    shown = (curve("a", A), curve("a", B, is_dashed=True), curve("b", B), curve("plain", A, (), is_beside=True))
    with styled():
        axes = curves_figure([Panel("cover", shown)], "steps", "here").axes[0]
    a, average, b, beside = axes.lines
    assert a.get_color() == average.get_color() == b.get_color() != beside.get_color()
    assert a.get_marker() == average.get_marker() != b.get_marker()
    assert len({a.get_marker(), b.get_marker(), beside.get_marker()}) == 3
    assert a.get_linestyle() == "-" and average.get_linestyle() == "--"


def test_every_row_is_in_the_legend_once_and_the_rows_behind_are_grey() -> None:
    panels = [Panel(task, (curve("a", A), curve("b", B, ("dinov2_x",))), (curve("c", A),)) for task in "wxyz"]
    with styled():
        figure = curves_figure(panels, "steps", "protocol")
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["a", "b", "grey: the other rows"]
    assert figure.legends[0].get_title().get_text().startswith("protocol")
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == list("wxyz")
    assert figure.axes[0].lines[0].get_color() == "0.85" and len(figure.axes[0].lines) == 3


def test_an_interval_does_not_take_the_axis_beyond_what_a_score_can_be() -> None:
    with styled():
        axes = curves_figure([Panel("cover", (curve("a", {1: 0.9, 2: 1.0}),))], "steps", "here").axes[0]
    assert axes.get_ylim()[1] <= 102 and axes.get_xscale() == "linear"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (250, "250"), (1500, "1.5k"), (100_000, "100k"), (2e6, "2M"), (0.05, "0.05")]
)
def test_numbers_in_few_letters(value: float, text: str) -> None:
    assert short(value) == text


def test_ticks_close_together_are_told_apart() -> None:
    axes = Figure().subplots()
    axes.plot([156.9, 157.9], [0, 1])
    set_scale(axes, [156.9, 157.9])
    ticks = axes.get_xticks()
    said = [axes.xaxis.get_major_formatter()(tick) for tick in ticks]
    assert len(set(said)) == len(said) and np.allclose([float(text) for text in said], ticks)


def test_a_line_of_two_teachers_has_both_colours() -> None:
    two = curve("both", {0: 0.4, 10: 0.5}, ("tiny_optical", "ema"))
    with styled():
        figure = curves_figure([Panel("cover", (two, curve("one", {0: 0.4, 10: 0.5})))], "steps", "scenes-v1")
    both, one = figure.axes[0].lines
    assert {both.get_color(), both.get_gapcolor()} == set(colours(("tiny_optical", "ema")))
    assert one.get_gapcolor() is None and one.get_linestyle() == "-"


def test_the_same_bytes_every_time() -> None:
    def draw() -> object:
        return curves_figure([Panel("cover", (curve("a", A),))], "steps", "here")

    assert encode(draw, "png") == encode(draw, "png")  # type: ignore[arg-type]


def test_what_is_no_share_is_drawn_in_its_own_unit() -> None:
    values = ((0, 150), (9, 120))
    points = tuple((x, Estimate(value, value - 1, value + 1, 3, 4.0, is_share=False)) for x, value in values)
    with styled():
        panels = [Panel("cover", (curve("a", A),)), Panel("height", (Curve("a", ("ema",), points),))]
        left, right = curves_figure(panels, "steps", "here").axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("percent", "own unit")
    assert np.allclose(right.lines[0].get_xydata(), values) and right.get_ylim()[1] > 150
