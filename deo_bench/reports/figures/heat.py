"""Heat maps of a grid of two factors: the score at every combination of their levels, one panel a task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_MAP = "cividis"
"""Dark to light in even steps, and seen alike by readers with and without colour vision deficiencies."""
_LEAST_WIDTH = 0.62
"""Inches of a cell that holds `54.1 ±1.3` in 6 points."""
_WIDTH_OF_HALVES = 0.55
"""Inches of a cell below which its interval does not fit and is left out."""
_LETTERS = 6.5
_CHARACTER = 0.6 * _LETTERS / 72
_LINE = 0.115
_GAP = 0.1
_MOST_CHARACTERS = 26
_TALLEST = 8.5
"""Points of the labels' letters; inches of a letter, of a line, between panels, and of a page."""


@dataclass(frozen=True)
class Panel:
    """One task's scores, [R, C]: means, half their intervals' widths, differences to the first cell.

    NaN where there is none; sign: 1 where more is better, -1 where less is; heading: lines above the panel; is_share:
    whether they are shares, or in a unit of their own.
    """

    heading: tuple[str, ...]
    values: np.ndarray
    halves: np.ndarray
    differences: np.ndarray
    sign: int = 1
    is_share: bool = True

    def text(self, array: np.ndarray, at: tuple[int, int], signed: bool = False) -> str:
        """One of its numbers; all of a panel's values have the same decimals."""
        beside = () if self.is_share else tuple(self.values[np.isfinite(self.values)].tolist())
        return number(float(array[at]), signed, self.is_share, beside)


@dataclass(frozen=True)
class _Layout:
    """Sizes in inches of panels with [down, across] cells each, and how many stand beside one another."""

    down: int
    across: int
    left: float
    tall: float
    head: float
    foot: float
    most_beside: int
    ticks: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, levels: tuple[Sequence[str], Sequence[str]]) -> _Layout:
        names = tuple(wrapped(level, _MOST_CHARACTERS) for level in levels[0])
        across = len(levels[1])
        left = max(len(line) for name in names for line in name.split("\n")) * _CHARACTER + 0.35
        beside = max(int((WIDTH - left) // (across * _LEAST_WIDTH + _GAP)), 1)
        ticks = tuple(
            wrapped(level, max(int(_cell_width(left, beside, across) / _CHARACTER), 5)) for level in levels[1]
        )
        tall = max(0.36, _LINE * max(name.count("\n") + 2 for name in names))
        foot = _LINE * max(tick.count("\n") + 1 for tick in ticks)
        return cls(len(names), across, left, tall, 0.42, foot, beside, ticks, names)

    def rows(self, panels: int) -> tuple[int, int]:
        """Rows of panels, and how many stand beside one another, spread evenly."""
        rows = -(-panels // self.most_beside)
        return rows, -(-panels // rows)

    @property
    def row_height(self) -> float:
        """Of a row of panels."""
        return self.down * self.tall + self.head + self.foot + 0.12


def most_panels(levels: tuple[Sequence[str], Sequence[str]]) -> int:
    """How many panels a page holds."""
    layout = _Layout.of(levels)
    return max(int(_TALLEST // layout.row_height), 1) * layout.most_beside


def heat_map(panels: Sequence[Panel], names: tuple[str, str], levels: tuple[Sequence[str], Sequence[str]]) -> Figure:
    """Panels of equal cells; names, levels: of the factor down (rows) and the one across (columns)."""
    from matplotlib.figure import Figure

    layout = _Layout.of(levels)
    rows, beside = layout.rows(len(panels))
    figure = Figure(figsize=(WIDTH, rows * layout.row_height + 0.45), layout="constrained")
    axes = figure.subplots(rows, beside, squeeze=False, sharey=True)
    for place, one in enumerate(axes.flat):
        if place >= len(panels):
            one.set_visible(False)
            continue
        _draw(one, panels[place], _cell_width(layout.left, beside, layout.across) >= _WIDTH_OF_HALVES)
        one.set_xticks(range(layout.across), layout.ticks, fontsize=_LETTERS)
        one.set_yticks(range(layout.down), layout.names, fontsize=_LETTERS)
        if place % beside == 0:
            one.set_ylabel(names[0])
    words = ("percent", "points") if all(panel.is_share for panel in panels) else ("score", "difference")
    told = f"{words[0]} ± half of a 95 % interval, below it the {words[1]} against the first cell"
    figure.supxlabel(f"{names[1]}\n({told})", fontsize=8, parse_math=False)
    return figure


def _cell_width(left: float, beside: int, across: int) -> float:
    return (WIDTH - left - beside * _GAP) / beside / across


def _draw(axes: Axes, panel: Panel, has_halves: bool) -> None:
    import matplotlib as mpl

    colours = mpl.colormaps[_MAP]
    shades = _shades(panel)
    axes.imshow(np.ma.masked_invalid(shades), cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_title("\n".join(panel.heading), loc="left")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    down, across = shades.shape
    axes.set_xticks(np.arange(1, across) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, down) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    for (row, column), shade in np.ndenumerate(shades):
        _cell(axes, panel, (row, column), float(shade), colours, has_halves)


def _cell(axes: Axes, panel: Panel, at: tuple[int, int], shade: float, colours: Colormap, has_halves: bool) -> None:
    """The number with half its interval, below it the difference to the first cell; hatched where there is no score."""
    row, column = at
    if not np.isfinite(shade):
        from matplotlib.patches import Rectangle

        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="white", edgecolor="0.7", hatch="////", linewidth=0)
        )
        axes.text(column, row, "no score", ha="center", va="center", fontsize=5.5, color="0.35",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        return
    ink = _ink(colours(shade))
    half = f" ±{panel.text(panel.halves, at)}" if has_halves and np.isfinite(panel.halves[at]) else ""
    has_gain = bool(np.isfinite(panel.differences[at]))
    lift = 3.2 if has_gain else 0
    middle: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "center", "color": ink}
    axes.annotate(panel.text(panel.values, at) + half, (column, row), (0, lift), fontsize=_LETTERS, **middle)
    if has_gain:
        axes.annotate(panel.text(panel.differences, at, True), (column, row), (0, -4.8), fontsize=5.5, **middle)


def _shades(panel: Panel) -> np.ndarray:
    """Scores as shades from 0 (worst) to 1 (best) within a panel.

    The scale spans at least the widest interval, so that what is noise looks like it.
    """
    signed = panel.sign * panel.values
    if not np.isfinite(signed).any():
        return signed
    low, high = float(np.nanmin(signed)), float(np.nanmax(signed))
    widest = 2 * float(np.nanmax(panel.halves)) if np.isfinite(panel.halves).any() else 0.0
    span = max(high - low, widest)
    if span <= 0:
        return np.where(np.isfinite(signed), 0.5, np.nan)
    shades: np.ndarray = (signed - (low + high) / 2) / span + 0.5
    return shades


def _ink(colour: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the greater contrast on a colour (WCAG's relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"


def wrapped(label: str, most: int) -> str:
    """A label in lines of at most `most` characters, broken after what separates words or settings."""
    lines = [""]
    for piece in re.findall(r"[^ ,=_.+/-]*[ ,=_.+/-]*", label):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > most:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines if line.strip())
