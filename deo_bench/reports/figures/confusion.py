"""What is taken for what: matrices of shares, their difference, and bars a class where labels come together."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.palette import colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LETTERS = 6.0
_LETTER = 0.6 * _LETTERS / 72
"""Points of a name's letters, and inches that one takes."""
_LONGEST = 20
_TITLE, _GAP, _RIGHT = 0.42, 0.1, 0.42
"""Inches: above a panel, between panels, for the numbers of images on the right."""
_LEAST = 0.17
"""Inches of a cell's side that a number of two digits fits in."""
_BAR = 0.13
_ALONE = 5.0
"""Inches of a bar with its gap, and of a panel that has no other beside it."""
_MOST, _FOOT = 52, 160
"""Letters of a title, and of a line below all panels."""


@dataclass(frozen=True)
class Matrix:
    """shares [K, K]: of the images of class i, the share taken for class j, or a difference of such shares; support
    [K]: images of each class in the test split, or whatever is counted (`of`).
    """

    title: str
    names: tuple[str, ...]
    shares: np.ndarray
    support: np.ndarray
    is_difference: bool = False
    of: str = "images"


@dataclass(frozen=True)
class Bars:
    """A value a class of one row or two; values: label -> [K]; teachers: label -> the row's; metric: of the values."""

    title: str
    names: tuple[str, ...]
    values: dict[str, np.ndarray]
    teachers: dict[str, tuple[str, ...]]
    support: np.ndarray
    metric: str = "F1"
    of: str = "images"


def confusion_figure(panels: Sequence[Matrix | Bars], where: str) -> Figure:
    """Two panels side by side, row by row; where: protocol, probe and bands."""
    from matplotlib.figure import Figure

    across = min(len(panels), 2)
    wide = WIDTH / 2 if across == 2 else _ALONE
    rows = [panels[at : at + across] for at in range(0, len(panels), across)]
    heights = [max(_height(panel, wide) for panel in row) for row in rows]
    told = _reading(panels, where)
    foot = 0.08 + 0.12 * (told.count("\n") + 1)
    figure = Figure(figsize=(WIDTH, sum(heights) + foot))
    top = sum(heights) + foot
    for row, height in zip(rows, heights, strict=True):
        for place, panel in enumerate(row):
            _draw(figure, panel, place * wide + (WIDTH - across * wide) / 2, top, wide)
        top -= height
    figure.text(0.005, 0.04 / figure.get_figheight(), told, fontsize=_LETTERS, ha="left", va="bottom", color="0.35")
    return figure


def _reading(panels: Sequence[Matrix | Bars], where: str) -> str:
    """What rows, columns and numbers are: a figure in a paper is read without the page that it stood on."""
    parts = []
    if any(isinstance(panel, Matrix) for panel in panels):
        parts.append("rows: the true class; columns: the predicted one; percent of the row")
    metrics = dict.fromkeys(panel.metric for panel in panels if isinstance(panel, Bars))
    if metrics:
        parts.append(f"bars: {' or '.join(metrics)}, percent")
    of = " or ".join(dict.fromkeys(panel.of for panel in panels))
    return textwrap.fill("; ".join([*parts, f"n: test {of} ({where})"]), _FOOT, break_on_hyphens=False)


def _draw(figure: Figure, panel: Matrix | Bars, left: float, top: float, wide: float) -> None:
    """A panel whose upper left corner is here, in inches from the lower left one of the figure."""
    inside = _inside(panel, wide)
    names = _room(panel)
    side = (left + names, top - _TITLE - inside[1], inside[0], inside[1])
    across, high = WIDTH, figure.get_figheight()
    axes = figure.add_axes((side[0] / across, side[1] / high, side[2] / across, side[3] / high))
    figure.text(
        (left + 0.02) / across,
        (top - 0.03) / high,
        _title(panel.title),
        fontsize=8,
        ha="left",
        va="top",
        linespacing=1.15,
    )
    if isinstance(panel, Matrix):
        _matrix(axes, panel, inside[0])
    else:
        _bars(axes, panel)


def _matrix(axes: Axes, panel: Matrix, inches: float) -> None:
    count = len(panel.names)
    limit = max(float(np.abs(panel.shares).max()), 0.01) if panel.is_difference else 1.0
    low, colour = (-limit, "PuOr") if panel.is_difference else (0.0, "Blues")
    shown = panel.shares if panel.is_difference else 0.85 * panel.shares  # dark enough for white, not for black ink
    edges = np.arange(count + 1) - 0.5
    axes.pcolormesh(edges, edges, shown, cmap=colour, vmin=low, vmax=limit, edgecolors="white", linewidth=0.5)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    names = [_cut(name) for name in panel.names]
    step = _every(count, inches)
    places = list(range(0, count, step))
    axes.set_yticks(places, [names[place] for place in places], fontsize=_LETTERS)
    axes.set_xticks(places, [names[place] for place in places], fontsize=_LETTERS, rotation=90)
    axes.tick_params(which="both", length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place in places:
        axes.text(count - 0.35, place, f"{panel.support[place]:,.0f}", fontsize=_LETTERS, color="0.35", va="center")
    axes.text(count - 0.35, -0.75, "n", fontsize=_LETTERS, color="0.35", va="bottom")
    if inches / count >= _LEAST:
        _numbers(axes, panel, limit)
    elif panel.is_difference:
        _signs(axes, panel, limit)


def _numbers(axes: Axes, panel: Matrix, limit: float) -> None:
    """Percent in every cell; nothing where it rounds to zero."""
    for (row, column), share in np.ndenumerate(panel.shares):
        text = f"{100 * share:+.0f}" if panel.is_difference else f"{100 * share:.0f}"
        if text.lstrip("+-") == "0":
            continue
        is_dark = abs(share) > 0.65 * limit
        axes.text(column, row, text, fontsize=_LETTERS, ha="center", va="center", color="white" if is_dark else "0.1")


def _signs(axes: Axes, panel: Matrix, limit: float) -> None:
    """Where numbers do not fit, a sign in the larger ones: without colour both ends of the map are dark."""
    for (row, column), share in np.ndenumerate(panel.shares):
        if abs(share) > 0.25 * limit:
            axes.text(
                column, row, "+" if share > 0 else "−", fontsize=_LETTERS, ha="center", va="center",
                color="white" if abs(share) > 0.6 * limit else "0.1",
            )  # fmt: skip


def _bars(axes: Axes, panel: Bars) -> None:
    count, labels = len(panel.names), list(panel.values)
    thick = 0.76 / len(labels)
    for place, label in enumerate(labels):
        left = colours(panel.teachers[label])[0]
        at = np.arange(count) + (place - (len(labels) - 1) / 2) * thick
        axes.barh(
            at, 100 * panel.values[label], thick * 0.9, color=left if place == 0 else "white", edgecolor=left,
            hatch=None if place == 0 else "////", linewidth=0.7, label=label,
        )  # fmt: skip
    axes.set_yticks(np.arange(count), [_cut(name) for name in panel.names], fontsize=_LETTERS)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100])
    axes.tick_params(axis="y", length=0, pad=2)
    axes.tick_params(axis="x", labelsize=_LETTERS, length=2)
    axes.grid(axis="x", color="0.92", linewidth=0.6)
    for place, images in enumerate(panel.support):
        axes.text(103, place, f"{images:,.0f}", fontsize=_LETTERS, color="0.35", va="center")
    axes.text(103, -0.75, "n", fontsize=_LETTERS, color="0.35", va="bottom")
    if len(labels) > 1:
        axes.legend(
            fontsize=_LETTERS, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.22 / _tall(panel)), ncols=1
        )


def _inside(panel: Matrix | Bars, wide: float) -> tuple[float, float]:
    """Inches of the axes."""
    across = wide - _room(panel) - _RIGHT - _GAP
    return (across, across) if isinstance(panel, Matrix) else (across, _tall(panel))


def _tall(panel: Bars) -> float:
    return (_BAR if len(panel.values) == 1 else 1.5 * _BAR) * len(panel.names) + 0.1


def _height(panel: Matrix | Bars, wide: float) -> float:
    below = _room(panel) if isinstance(panel, Matrix) else 0.2 + 0.13 * len(panel.values)
    return _TITLE + _inside(panel, wide)[1] + below + 0.12


def _room(panel: Matrix | Bars) -> float:
    """Inches of the longest name."""
    return 0.08 + _LETTER * max(len(_cut(name)) for name in panel.names)


def _cut(name: str, most: int = _LONGEST) -> str:
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"


def _title(text: str) -> str:
    return "\n".join(_cut(line, _MOST) for line in text.split("\n"))


def _every(count: int, inches: float) -> int:
    """Which names are written: each, or so many apart that they do not run into one another."""
    return max(1, int(np.ceil(1.25 * _LETTERS / 72 / (inches / count))))
