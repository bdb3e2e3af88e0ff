"""Dot-and-interval figures: every row's score, and its difference to the baseline row, one panel a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.palette import UNTAUGHT, colours
from deo_bench.reports.table import Row, Table
from deo_bench.reports.wording import metric_name, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

View = Literal["scores", "differences"]

_MOST_ACROSS = 4


def has_dots(table: Table, view: View) -> bool:
    """Whether a table has anything to show in a view."""
    return bool(_rows(table, view))


def dots(table: Table, view: View) -> Figure:
    """A panel a task; a row's dot has its teacher's colour, in two halves where there are two teachers."""
    return _figure(table, _rows(table, view), view)


def _rows(table: Table, view: View) -> list[Row]:
    """The rows with something to show, cells first; of differences only the cells: baselines would squash the scale."""
    if view == "differences":
        return [row for row in table.block("cell") if any(cell.difference for cell in row.cells)]
    rows = [*table.block("cell"), *table.block("bound"), *table.block("baseline", "reference")]
    return [row for row in rows if any(cell.estimate for cell in row.cells)]


def _figure(table: Table, rows: Sequence[Row], view: View) -> Figure:
    from matplotlib.figure import Figure

    down = -(-len(table.columns) // _MOST_ACROSS)
    across = -(-len(table.columns) // down)
    height = down * (0.17 * len(rows) + 0.7) + 0.25
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    split = sum(row.kind == "cell" for row in rows)
    for place, axes in enumerate(panels.flat):
        if place >= len(table.columns):
            axes.set_visible(False)
            continue
        _panel(axes, table, rows, place, view)
        if 0 < split < len(rows):
            axes.axhline(split - 0.5, color="0.8", linewidth=0.6, zorder=0)
        if place % across == 0:
            axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
    figure.supxlabel(_axis_label(table, view), fontsize=8)
    return figure


def _panel(axes: Axes, table: Table, rows: Sequence[Row], place: int, view: View) -> None:
    column = table.columns[place]
    axes.set_title(f"{column.task}\n{metric_name(column)}\n{size(column)}", loc="left")
    axes.grid(axis="x", color="0.92", linewidth=0.6)
    if view == "differences":
        axes.axvline(0, color="0.35", linewidth=0.8, zorder=1)
    for height, row in enumerate(rows):
        shown = row.cells[place].difference if view == "differences" else row.cells[place].estimate
        if shown is None:
            axes.text(0.5, height, "no score", transform=axes.get_yaxis_transform(), ha="center", va="center",
                      color="0.6", fontsize=6)  # fmt: skip
            continue
        is_open = view == "differences" and shown.low <= 0 <= shown.high
        _dot(axes, row, height, (100 * shown.low, 100 * shown.value, 100 * shown.high), is_open)


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
    where = f"{table.protocol}, {table.probe}, {table.bands}"
    if view == "scores":
        return f"percent, 95 % interval ({where})"
    return f"points against {table.against}, 95 % interval, open: unresolved ({where})"
