"""The front against brute force, and what the figure shows against the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deo_bench.reports.figures.pareto import Panel, Point, front, pareto_figure
from deo_bench.reports.figures.style import encode, styled
from deo_bench.reports.statistics import Estimate

SMALL = st.integers(0, 6)


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=12))
def test_the_front_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    costs, values = zip(*points, strict=True)
    expected = {
        i
        for i, (cost, value) in enumerate(points)
        if not any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in points)
    }
    found = front(costs, values)
    assert set(found) == expected and len(found) == len(expected)
    assert [costs[i] for i in found] == sorted(costs[i] for i in found)


def estimate(value: float, half: float = 0.03) -> Estimate:
    return Estimate(value, value - half, value + half, 3, 4.0)


def point(number: int, cost: float, value: float, is_cell: bool = True, teachers: tuple[str, ...] = ("ema",)) -> Point:
    return Point(number, f"row {number}", teachers, cost, estimate(value), is_cell)


def panel(sign: int = 1) -> Panel:
    points = (point(1, 10, 0.5), point(2, 2, 0.4), point(3, 30, 0.45), point(4, 30, 0.9, False))
    return Panel("cover\naccuracy", points, sign)


def test_points_intervals_and_front_are_the_data() -> None:
    with styled():
        (axes,) = (axes for axes in pareto_figure([panel()], "GMACs", "here").axes if axes.get_visible())
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn["1"] == [[10, 50]] and drawn["4"] == [[30, 90]]
    assert drawn["front"] == [[2, 40], [10, 50], [30, 90]]
    bars = sorted(tuple(np.asarray(each.get_segments()[0]).ravel().round(6)) for each in axes.collections)
    assert bars[0] == pytest.approx((2, 37, 2, 43))
    assert axes.get_xscale() == "log"
    marks = {line.get_label(): line.get_marker() for line in axes.lines}
    assert marks["4"] == "D" and len({marks["1"], marks["2"], marks["3"], marks["4"]}) == 4


def test_where_less_is_better_the_front_goes_down() -> None:
    with styled():
        axes = pareto_figure([panel(-1)], "GMACs", "here").axes[0]
    (stepped,) = (line for line in axes.lines if line.get_label() == "front")
    assert stepped.get_xydata().tolist() == [[2, 40]]
    assert stepped.get_drawstyle() == "steps-post"  # a cost buys what the best row up to it has


def test_numbers_cover_neither_one_another_nor_a_point() -> None:
    draws = np.random.default_rng(0)
    points = tuple(point(n, float(draws.integers(1, 9)), float(draws.uniform(0.3, 0.9))) for n in range(1, 21))
    with styled():
        figure = pareto_figure([Panel("cover", points)] * 3, "GMACs", "here")
        figure.draw_without_rendering()
        for axes in figure.axes:
            boxes = [text.get_window_extent().shrunk(0.8, 0.6) for text in axes.texts]
            assert len(boxes) == 20
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
            at = axes.transData.transform([(one.cost, 100 * one.estimate.value) for one in points])
            assert not any(box.contains(x, y) for box in boxes for x, y in at)


def test_the_same_bytes_every_time() -> None:
    def draw() -> object:
        return pareto_figure([panel()], "GMACs", "here")

    assert encode(draw, "svg") == encode(draw, "svg")  # type: ignore[arg-type]


def test_what_is_no_share_is_drawn_in_its_own_unit() -> None:
    """Beside a panel in percent, above what a share could be, and the best is the least."""
    points = tuple(
        Point(number, f"row {number}", (), cost, Estimate(value, value - 1, value + 1, 3, 4.0, is_share=False), True)
        for number, cost, value in ((1, 2, 150.0), (2, 4, 140.0), (3, 5, 160.0))
    )
    with styled():
        left, right = pareto_figure([panel(), Panel("height\nRMSE", points, -1)], "GMACs", "here").axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("percent", "own unit")
    drawn = {line.get_label(): line.get_xydata() for line in right.lines}
    assert np.allclose([drawn[str(number)][0][1] for number in (1, 2, 3)], [150, 140, 160])
    assert np.allclose(drawn["front"], [(2, 150), (4, 140)]) and right.get_ylim()[1] > 160


@pytest.mark.parametrize(("sign", "count"), [(1, 1), (-1, 0)])
def test_a_front_of_one_point_is_not_in_the_legend(sign: int, count: int) -> None:
    with styled():
        (legend,) = pareto_figure([panel(sign)], "GMACs", "here").legends
    assert sum(text.get_text().startswith("front") for text in legend.get_texts()) == count
