"""Critical-difference diagrams: average ranks over tasks, and which rows the tasks cannot tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.palette import UNTAUGHT, colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.185
_BAR = 0.14
"""Inches of a row, and between two bars."""


@dataclass(frozen=True)
class Ranked:
    """A row's average rank, 1 being the best; teachers: for its colour, none for what has none."""

    label: str
    rank: float
    teachers: tuple[str, ...] = ()


def cliques(ranks: Sequence[float], critical: float) -> list[tuple[int, int]]:
    """First and last place of each longest stretch of ascending ranks that lie closer than the critical difference."""
    found: list[tuple[int, int]] = []
    for start, lowest in enumerate(ranks):
        last = max(place for place, rank in enumerate(ranks) if rank - lowest < critical)
        if last > start and (not found or last > found[-1][1]):
            found.append((start, last))
    return found


def critical_difference(rows: Sequence[Ranked], critical: float, tasks: int) -> Figure:
    """Rows by average rank, the best on top; a bar at the right joins those that lie closer than `critical`."""
    from matplotlib.figure import Figure

    ranked = sorted(rows, key=lambda row: row.rank)
    bars = cliques([row.rank for row in ranked], critical)
    figure = Figure(figsize=(WIDTH, _ROW * len(ranked) + 0.95), layout="constrained")
    share = max(_BAR * len(bars), 0.05)
    axes, side = figure.subplots(1, 2, sharey=True, width_ratios=[4.5, share], gridspec_kw={"wspace": 0.01})
    _dots(axes, ranked)
    _scale(axes, critical, len(ranked))
    axes.set_xlabel(f"average rank over {tasks} tasks, 1 is best")
    _bars(side, bars)
    axes.set_ylim(len(ranked) - 0.4, -1.9)
    return figure


def _dots(axes: Axes, ranked: Sequence[Ranked]) -> None:
    axes.set_yticks(range(len(ranked)), [row.label for row in ranked])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.92", linewidth=0.6)
    axes.set_xlim(0.7, len(ranked) + 0.3)
    axes.set_xticks(range(1, len(ranked) + 1))
    for height, row in enumerate(ranked):
        left, right = colours(row.teachers) if row.teachers else (UNTAUGHT, UNTAUGHT)
        axes.hlines(height, 0.7, row.rank, color="0.88", linewidth=0.8, zorder=1)
        axes.plot(
            [row.rank], [height], "o", markersize=5.5, zorder=3, fillstyle="full" if left == right else "left",
            markerfacecolor=left, markerfacecoloralt=right, markeredgecolor="white", markeredgewidth=0.4,
        )  # fmt: skip
        axes.annotate(f"{row.rank:.2f}", (row.rank, height), (6, -0.3), textcoords="offset points", va="center",
                      fontsize=6.5, color="0.25")  # fmt: skip


def _scale(axes: Axes, critical: float, count: int) -> None:
    """The critical difference as a length, above the rows."""
    end = min(1 + critical, count + 0.3)
    axes.plot([1, end], [-1.05, -1.05], color="0.2", linewidth=1.2, solid_capstyle="butt")
    for x in (1, 1 + critical):
        if x <= end:
            axes.plot([x, x], [-1.25, -0.85], color="0.2", linewidth=1.2)
    axes.text(1, -1.35, f"critical difference {critical:.2f}", fontsize=6.5, color="0.2", va="bottom")


def _bars(axes: Axes, bars: Sequence[tuple[int, int]]) -> None:
    axes.set_axis_off()
    axes.set_xlim(-0.5, max(len(bars) - 0.5, 0.5))
    for place, (first, last) in enumerate(bars):
        axes.plot([place, place], [first - 0.25, last + 0.25], color="0.2", linewidth=2.2, solid_capstyle="butt")
