"""Critical-difference diagrams: every row at its rank, and a bar for each group that is not told apart."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deo_bench.reports.figures.ranks import rank_diagram
from deo_bench.reports.figures.style import encode, styled
from deo_bench.reports.palette import colour
from deo_bench.reports.statistics import Ranking, rank_rows

RANKING = Ranking({"a": 1.0, "b": 2.0, "c": 3.5, "d": 3.5}, 12, 9.0, 3.0, 0.03, 2.0, (("a", "b"), ("b", "c", "d")))


def drawn(ranking: Ranking, **teachers: tuple[str, ...]) -> Figure:
    with styled():
        return rank_diagram(ranking, teachers)


def test_rows_stand_at_their_ranks_the_best_on_top_in_their_teachers_colour() -> None:
    axes = drawn(RANKING, a=("ema",)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c", "d"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(float(dot.get_xdata()[0]), float(dot.get_ydata()[0])) for dot in dots] == [
        (1, 0),
        (2, 1),
        (3.5, 2),
        (3.5, 3),
    ]
    assert dots[0].get_markerfacecolor() == colour("ema") != dots[1].get_markerfacecolor()


def test_bars_join_what_is_not_told_apart() -> None:
    side = drawn(RANKING).axes[1]
    assert [tuple(np.round(line.get_ydata(), 2)) for line in side.lines] == [(-0.25, 1.25), (0.75, 3.25)]
    apart = drawn(Ranking({"a": 1.0, "b": 2.0}, 99, 9.0, 3.0, 0.0, 0.2, ()))
    assert not apart.axes[1].lines and not apart.axes[1].texts


def test_the_critical_difference_has_its_length() -> None:
    axes = drawn(RANKING).axes[0]
    scale = next(line for line in axes.lines if line.get_marker() != "o")
    assert list(scale.get_xdata()) == [1, 3.0]
    assert "critical difference 2.00" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("count", [3, 20])
def test_nothing_is_cut_off(count: int) -> None:
    draws = np.random.default_rng(0)
    label = "spectral=ema, optical=dinov3_vitl16_sat493m, compress.weight="
    figure = drawn(rank_rows({f"{label}{i}": draws.random(12) for i in range(count)}))
    FigureCanvasAgg(figure).draw()
    box = figure.bbox
    for axes in figure.axes:
        for text in (*axes.texts, *axes.get_yticklabels()):
            inside = text.get_window_extent()
            assert box.x0 <= inside.x0 and inside.x1 <= box.x1, text.get_text()
        for line in axes.lines:
            assert line.get_window_extent().x1 <= box.x1


def test_the_same_ranks_give_the_same_bytes() -> None:
    draw = partial(rank_diagram, RANKING, {"a": ("ema",), "b": ("ema", "tiny_optical")})
    for form in ("png", "svg", "pdf"):
        assert encode(draw, form) == encode(draw, form)  # type: ignore[arg-type]
