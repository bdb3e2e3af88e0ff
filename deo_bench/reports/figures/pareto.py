"""Score against cost, one panel a task, with the front of what nothing else beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from deo_bench.reports.figures.scales import MARKS, height_below, labels_below, set_scale
from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.palette import UNTAUGHT, colours
from deo_bench.reports.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ACROSS = 3
_PANEL, _HEAD, _FOOT = 1.9, 0.36, 0.2
_HANDLE = 1.6
_NUMBER = 6
_BEYOND = 2


@dataclass(frozen=True)
class Point:
    """A row's cost and score; number: what the panels call it; is_cell: of the experiment, else a baseline."""

    number: int
    label: str
    teachers: tuple[str, ...]
    cost: float
    estimate: Estimate
    is_cell: bool


@dataclass(frozen=True)
class Panel:
    """A task's points under a title; sign: 1 where more is better, -1 where less is."""

    title: str
    points: tuple[Point, ...]
    sign: int = 1

    @property
    def unit(self) -> str:
        """What is on the y axis."""
        return "percent" if self.points[0].estimate.is_share else "own unit"


def front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Places of what nothing dominates, by cost: nothing costs as little and is as good and is better in one of both.

    values: more is better.
    """
    order = sorted(range(len(costs)), key=lambda place: (costs[place], -values[place]))
    kept: list[int] = []
    for place in order:
        last = kept[-1] if kept else None
        same = last is not None and (costs[last], values[last]) == (costs[place], values[place])
        if last is None or same or values[place] > values[last]:
            kept.append(place)
    return kept


def pareto_figure(panels: Sequence[Panel], cost: str, where: str) -> Figure:
    """Numbered points with 95 % intervals, and the front as a stepped line; the numbers are told below.

    cost: what is on the x axis; where: protocol, probe and bands.
    """
    from matplotlib.figure import Figure

    told = _told(panels)
    down = -(-len(panels) // _MOST_ACROSS)
    across = -(-len(panels) // down)
    height = down * (_PANEL + _HEAD) + _FOOT + height_below(list(told), _HANDLE)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(panels):
            axes.set_visible(False)
            continue
        _panel(axes, panels[place])
        if place % across == 0 or panels[place].unit != panels[place - 1].unit:
            axes.set_ylabel(panels[place].unit)
        if place + across >= len(panels):
            axes.set_xlabel(cost)
    labels_below(figure, list(told.values()), list(told), f"{where}; bars: 95 % interval", _HANDLE)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # from here on nothing moves, so numbers can be put where there is room
    for panel, axes in zip(panels, grid.flat, strict=False):
        _number(axes, panel)
    return figure


def _panel(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title, loc="left")
    axes.grid(axis="y", color="0.92", linewidth=0.6)
    costs = [point.cost for point in panel.points]
    set_scale(axes, costs)
    best = _unbeaten(panel)
    xs, ys = [costs[place] for place in best], [_value(panel.points[place]) for place in best]
    axes.step(xs, ys, where="post", color="0.45", linewidth=1.0, zorder=2, label="front")
    for point in panel.points:
        low, value, high = (point.estimate.factor * getattr(point.estimate, name) for name in ("low", "value", "high"))
        left, _ = _colours(point)
        axes.vlines([point.cost], [low], [high], color=left, linewidth=0.9, zorder=3)
        axes.plot([point.cost], [value], zorder=4, label=str(point.number), **_dot(point))
    axes.margins(x=0.09, y=0.09)
    if panel.points[0].estimate.is_share:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -_BEYOND), min(high, 100 + _BEYOND))


def _unbeaten(panel: Panel) -> list[int]:
    return front([point.cost for point in panel.points], [panel.sign * point.estimate.value for point in panel.points])


def _value(point: Point) -> float:
    return point.estimate.factor * point.estimate.value


def _number(axes: Axes, panel: Panel) -> None:
    """Each point's number where it covers no other and no point; with a line to its point where that is far off."""
    size = _NUMBER / 72 * axes.figure.dpi
    at = [axes.transData.transform((point.cost, _value(point))) for point in panel.points]
    best = set(_unbeaten(panel))
    taken = [(x, y, 0.5 * size, 0.5 * size) for x, y in at]
    bars = [_bar(axes, point, 0.15 * size) for point in panel.points]
    inside = axes.get_window_extent()
    for place, (x, y) in enumerate(at):
        text = str(panel.points[place].number)
        wide, high = 0.32 * size * len(text), 0.42 * size
        spots = [(x + far * size * dx, y + far * size * dy) for far, (dx, dy) in product(_RADII, _ROUND)]
        spots = [(px, py) for px, py in spots if inside.x0 <= px <= inside.x1 and inside.y0 <= py <= inside.y1]
        free = [spot for spot in spots if not any(_covers(spot, wide, high, other) for other in taken)]
        clear = [spot for spot in free if not any(_covers(spot, wide, high, bar) for bar in bars)]
        spot = next(iter([*clear, *free, *spots]), (x, y))
        taken.append((*spot, wide, high))
        points = 72 / axes.figure.dpi
        is_far = np.hypot(spot[0] - x, spot[1] - y) > 1.4 * size
        axes.annotate(
            text, (panel.points[place].cost, _value(panel.points[place])),
            xytext=((spot[0] - x) * points, (spot[1] - y) * points), textcoords="offset points", ha="center",
            va="center", fontsize=_NUMBER, fontweight="bold" if place in best else "normal", zorder=6,
            arrowprops=_LEADER if is_far else None,
        )  # fmt: skip


_LEADER = {"arrowstyle": "-", "linewidth": 0.4, "color": "0.5", "shrinkA": 2, "shrinkB": 2}
_RADII = (1.0, 1.5, 2.1, 2.8, 3.6, 4.6)
_ROUND = ((-0.95, 0.95), (0.95, 0.95), (1, 0), (-1, 0), (0.95, -0.95), (-0.95, -0.95), (0, 1), (0, -1))
"""How far from its point, in letters, and in which directions a number is tried."""


def _bar(axes: Axes, point: Point, wide: float) -> tuple[float, float, float, float]:
    """Middle and half sides of a point's interval, in pixels."""
    times, of = point.estimate.factor, point.estimate
    (x, low), (_, high) = (axes.transData.transform((point.cost, times * value)) for value in (of.low, of.high))
    return x, (low + high) / 2, wide, (high - low) / 2


def _covers(spot: tuple[float, float], wide: float, high: float, other: tuple[float, float, float, float]) -> bool:
    return abs(spot[0] - other[0]) < wide + other[2] and abs(spot[1] - other[1]) < high + other[3]


def _told(panels: Sequence[Panel]) -> dict[str, Artist]:
    from matplotlib.lines import Line2D

    told: dict[str, Artist] = {}
    for point in sorted({p.number: p for panel in panels for p in panel.points}.values(), key=lambda p: p.number):
        told[f"{point.number}  {point.label}"] = Line2D([], [], **_dot(point))
    if any(len(_unbeaten(panel)) > 1 for panel in panels):  # a front of one point is no line
        told["front: nothing is both cheaper and better"] = Line2D([], [], color="0.45", linewidth=1.0)
    return told


def _dot(point: Point) -> dict[str, Any]:
    left, right = _colours(point)
    mark = MARKS[(point.number - 1) % len(MARKS)] if point.is_cell else "D"
    return {
        "linestyle": "none", "marker": mark, "markersize": 5.2 if point.is_cell else 3.6, "color": left,
        "fillstyle": "full" if left == right else "left", "markerfacecolor": left, "markerfacecoloralt": right,
        "markeredgecolor": "white", "markeredgewidth": 0.5,
    }  # fmt: skip


def _colours(point: Point) -> tuple[str, str]:
    return colours(point.teachers) if point.is_cell else (UNTAUGHT, UNTAUGHT)
