"""Dot-and-interval figures: every row's score, and its difference to the baseline row, one panel a task."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from deo_bench.reports.cells import Column
from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.palette import UNTAUGHT, colours
from deo_bench.reports.statistics import Difference, Estimate
from deo_bench.reports.table import Row, Table
from deo_bench.reports.wording import UNRESOLVED, metric_name, metric_remark, scale, size, where

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

View = Literal["scores", "differences"]

_MOST_ACROSS = 4
_TALLEST = 9.0
"""Inches: what a page has room for above a caption."""
_LABEL = 34
_ACROSS = 105
"""Letters of a label on one line, and of what stands below all panels."""


def has_dots(table: Table, view: View) -> bool:
    """Whether a table has anything to show in a view."""
    return bool(_rows(table, view))


def dots(table: Table, view: View, places: Sequence[int] | None = None) -> Figure:
    """A panel a column; a row's dot has its teacher's colour, in two halves where there are two teachers.

    places: of the columns that are shown, none for all.
    """
    return _figure(table, _rows(table, view), view, range(len(table.columns)) if places is None else places)


def pages(table: Table, view: View) -> list[range]:
    """The columns of a table in figures that fit a page each, spread evenly."""
    across = min(_MOST_ACROSS, len(table.columns))
    down = max(int((_TALLEST - 0.25) // _panel_height(table, _rows(table, view))), 1)
    count = -(-len(table.columns) // (across * down))
    edges = [round(cut * len(table.columns) / count) for cut in range(count + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]


def _rows(table: Table, view: View) -> list[Row]:
    """The rows with something to show, cells first; of differences only the cells: baselines would squash the scale."""
    if view == "differences":
        return [row for row in table.block("cell") if any(cell.difference for cell in row.cells)]
    rows = [*table.block("cell"), *table.block("bound"), *table.block("baseline", "reference")]
    return [row for row in rows if any(cell.estimate for cell in row.cells)]


def _label(row: Row) -> str:
    return textwrap.fill(row.label, _LABEL, break_on_hyphens=False)


def _heading(table: Table, place: int) -> str:
    column = table.columns[place]
    told = [column.task, where(column, table.varying), metric_name(column), metric_remark(column), size(column)]
    return "\n".join(textwrap.fill(line, 30) for line in told if line)


def _panel_height(table: Table, rows: Sequence[Row]) -> float:
    """Inches of a panel: a row is as high as its label has lines, and its heading takes nothing from the rows."""
    head = 0.13 * max(_heading(table, place).count("\n") + 1 for place in range(len(table.columns)))
    return 0.17 * sum(max(0.8 * (_label(row).count("\n") + 1), 1) for row in rows) + 0.46 + head


def _heights(rows: Sequence[Row]) -> list[float]:
    """Where each row stands, from above."""
    found, at = [], 0.0
    for row in rows:
        high = max(0.8 * (_label(row).count("\n") + 1), 1)
        found.append(at + (high - 1) / 2)
        at += high
    return found


def _figure(table: Table, rows: Sequence[Row], view: View, places: Sequence[int]) -> Figure:
    from matplotlib.figure import Figure

    down = -(-len(places) // _MOST_ACROSS)
    across = -(-len(places) // down)
    figure = Figure(figsize=(WIDTH, down * _panel_height(table, rows) + 0.25), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    split, heights = sum(row.kind == "cell" for row in rows), _heights(rows)
    for number, axes in enumerate(panels.flat):
        if number >= len(places):
            axes.set_visible(False)
            continue
        _panel(axes, table, rows, places[number], view)
        if 0 < split < len(rows):
            axes.axhline((heights[split - 1] + heights[split]) / 2, color="0.8", linewidth=0.6, zorder=0)
        if number % across == 0:
            axes.set_yticks(heights, [_label(row) for row in rows], parse_math=False)
        axes.set_ylim(heights[-1] + 0.6, -0.6)
        axes.tick_params(axis="y", length=0)
    _share_ranges([(table.columns[place], axes) for place, axes in zip(places, panels.flat, strict=False)])
    figure.supxlabel(_axis_label(table, view), fontsize=8, parse_math=False)
    return figure


def _share_ranges(panels: Sequence[tuple[Column, Axes]]) -> None:
    """Panels of one task by one metric have one range: a step beside another is compared by eye."""
    alike: dict[tuple[str, str], list[Axes]] = {}
    for column, axes in panels:
        alike.setdefault((column.task, column.metric), []).append(axes)
    for group in alike.values():
        limits = [axes.get_xlim() for axes in group]
        for axes in group:
            axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))


def _panel(axes: Axes, table: Table, rows: Sequence[Row], place: int, view: View) -> None:
    axes.set_title(_heading(table, place), loc="left", parse_math=False)
    axes.grid(axis="x", color="0.92", linewidth=0.6)
    if view == "differences":
        axes.axvline(0, color="0.35", linewidth=0.8, zorder=1)
    for height, row in zip(_heights(rows), rows, strict=True):
        cell = row.cells[place]
        shown = cell.difference if view == "differences" else cell.estimate
        if shown is None:
            told_here = "baseline" if view == "differences" and row.label == table.against else "no score"
            axes.text(0.5, height, told_here, transform=axes.get_yaxis_transform(), ha="center", va="center",
                      color="0.6", fontsize=6)  # fmt: skip
            continue
        is_open = view == "differences" and not cell.is_resolved
        _dot(axes, row, height, _shown(shown), is_open)


def _shown(found: Estimate | Difference) -> tuple[float, float, float]:
    """Low, value and high as the axis has them."""
    return found.factor * found.low, found.factor * found.value, found.factor * found.high


def _dot(axes: Axes, row: Row, height: float, at: tuple[float, float, float], is_open: bool) -> None:
    """A dot with its interval, in two halves where there are two teachers; open where nothing is resolved."""
    left, right = colours(row.teachers) if row.kind == "cell" else (UNTAUGHT, UNTAUGHT)
    shape, wide = ("o", 5.0) if row.kind == "cell" else ("D", 2.8)
    axes.errorbar(
        [at[1]], [height], xerr=[[at[1] - at[0]], [at[2] - at[1]]], color=left, linewidth=1.0, capsize=2.2, capthick=1.0
    )
    axes.plot(
        [at[1]], [height], shape, markersize=wide, zorder=3, fillstyle="full" if left == right or is_open else "left",
        markerfacecolor="white" if is_open else left, markerfacecoloralt=right,
        markeredgecolor=left if is_open else "white", markeredgewidth=1.0 if is_open else 0.4,
    )  # fmt: skip


def _axis_label(table: Table, view: View) -> str:
    about = f"{table.protocol}, {table.probe}, {table.bands}"
    if view == "scores":
        return textwrap.fill(f"{scale(table.columns)}, 95 % interval ({about})", _ACROSS, break_on_hyphens=False)
    told = f"{scale(table.columns, 'points')} against {table.against}, 95 % interval, each by itself"
    told += f"; open: {UNRESOLVED} after Holm's correction"
    return textwrap.fill(f"{told} ({about})", _ACROSS, break_on_hyphens=False)
