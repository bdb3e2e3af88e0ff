"""Critical-difference diagrams: average ranks over tasks, and which rows the tasks cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.palette import colours
from deo_bench.reports.statistics import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.185
_BAR = 0.12
_LEAST_BESIDE = 0.78
_CHARACTER = 0.068
"""Inches of a row, between two bars, of all bars at the least, and of a label's letter."""


def rank_diagram(ranking: Ranking, teachers: Mapping[str, Sequence[str]]) -> Figure:
    """Rows by average rank, the best on top; bars at the right join those that are not told apart.

    teachers: of a row, for its colour.
    """
    from matplotlib.figure import Figure

    rows = list(ranking.ranks)
    figure = Figure(figsize=(WIDTH, _ROW * len(rows) + 0.95), layout="constrained")
    beside = max(_BAR * len(ranking.groups), _LEAST_BESIDE)
    labels = _CHARACTER * max(map(len, rows)) + 0.3
    axes, side = figure.subplots(1, 2, sharey=True, width_ratios=[max(WIDTH - beside - labels, 1), beside])
    _dots(axes, ranking, teachers)
    _scale(axes, ranking.critical, len(rows))
    axes.set_xlabel(f"average rank over {ranking.tasks} tasks, 1 is best")
    _bars(side, [(rows.index(group[0]), rows.index(group[-1])) for group in ranking.groups], beside)
    axes.set_ylim(len(rows) - 0.4, -1.9)
    return figure


def _dots(axes: Axes, ranking: Ranking, teachers: Mapping[str, Sequence[str]]) -> None:
    rows = list(ranking.ranks)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.92", linewidth=0.6)
    axes.set_xlim(0.7, len(rows) + 0.3)
    axes.set_xticks(range(1, len(rows) + 1))
    for height, (label, rank) in enumerate(ranking.ranks.items()):
        left, right = colours(teachers.get(label, ()))
        axes.hlines(height, 0.7, rank, color="0.88", linewidth=0.8, zorder=1)
        axes.plot(
            [rank], [height], "o", markersize=5.5, zorder=3, fillstyle="full" if left == right else "left",
            markerfacecolor=left, markerfacecoloralt=right, markeredgecolor="white", markeredgewidth=0.4,
        )  # fmt: skip
        axes.annotate(f"{rank:.2f}", (rank, height), (6, -0.3), textcoords="offset points", va="center",
                      fontsize=6.5, color="0.25")  # fmt: skip


def _scale(axes: Axes, critical: float, count: int) -> None:
    """The critical difference as a length, above the rows."""
    end = min(1 + critical, count + 0.3)
    axes.plot([1, end], [-1.05, -1.05], color="0.2", linewidth=1.2, solid_capstyle="butt")
    for x in (1, 1 + critical):
        if x <= end:
            axes.plot([x, x], [-1.25, -0.85], color="0.2", linewidth=1.2)
    axes.text(1, -1.35, f"critical difference {critical:.2f}", fontsize=6.5, color="0.2", va="bottom")


def _bars(axes: Axes, bars: Sequence[tuple[int, int]], width: float) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, width)
    if bars:
        axes.text(0, -0.75, "not told apart", fontsize=6.5, color="0.2", va="bottom")
    for place, (first, last) in enumerate(bars):
        at = _BAR * (place + 0.5)
        axes.plot([at, at], [first - 0.25, last + 0.25], color="0.2", linewidth=2.2, solid_capstyle="butt")
