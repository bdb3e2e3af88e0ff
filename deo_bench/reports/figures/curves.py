"""Curves with intervals: scores against steps of training or against labelled images, one panel a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deo_bench.reports.figures.scales import MARKS, height_below, labels_below, set_scale
from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.palette import UNTAUGHT, colours
from deo_bench.reports.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ACROSS = 3
_PANEL = 1.75
_HEAD = 0.36
_FOOT = 0.2
"""Inches: a panel, its title, what is below."""
_BEYOND = 2
_DASHES, _DOTS, _TWO = (0, (4, 1.6)), (0, (1, 1.5)), (0, (5, 5))


@dataclass(frozen=True)
class Curve:
    """One row's estimates by what they are against; is_dashed: of the moving average's weights; is_beside: of a
    baseline, which is grey.
    """

    label: str
    teachers: tuple[str, ...]
    points: tuple[tuple[float, Estimate], ...]
    is_dashed: bool = False
    is_beside: bool = False


@dataclass(frozen=True)
class Panel:
    """A task's curves under a title; behind: those of the rows that other figures show, for comparison."""

    title: str
    curves: tuple[Curve, ...]
    behind: tuple[Curve, ...] = ()

    @property
    def unit(self) -> str:
        """What is on the y axis."""
        are_shares = all(estimate.is_share for curve in self.curves for _, estimate in curve.points)
        return "percent" if are_shares else "own unit"


def curves_figure(panels: Sequence[Panel], against: str, where: str) -> Figure:
    """Lines with shaded 95 % intervals; a row has its teacher's colour and a mark of its own.

    against: what is on the x axis; where: protocol, probe and bands.
    """
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves if not curve.is_beside))
    beside = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves if curve.is_beside))
    marks = {label: MARKS[place % len(MARKS)] for place, label in enumerate([*labels, *beside])}
    down = -(-len(panels) // _MOST_ACROSS)
    across = -(-len(panels) // down)
    told = _told(panels, marks)
    height = down * (_PANEL + _HEAD) + _FOOT + height_below(list(told))
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    for place, axes in enumerate(figure.subplots(down, across, squeeze=False).flat):
        if place >= len(panels):
            axes.set_visible(False)
            continue
        _panel(axes, panels[place], marks)
        if place % across == 0 or panels[place].unit != panels[place - 1].unit:
            axes.set_ylabel(panels[place].unit)
        if place + across >= len(panels):
            axes.set_xlabel(against)
    labels_below(figure, list(told.values()), list(told), f"{where}; shaded: 95 % interval")
    return figure


def _panel(axes: Axes, panel: Panel, marks: dict[str, str]) -> None:
    axes.set_title(panel.title, loc="left")
    axes.grid(axis="y", color="0.92", linewidth=0.6)
    places = sorted({x for curve in panel.curves for x, _ in curve.points})
    set_scale(axes, places, places)
    for curve in panel.behind:
        xs, ys = [x for x, _ in curve.points], [estimate.factor * estimate.value for _, estimate in curve.points]
        axes.plot(xs, ys, color="0.85", linewidth=0.7, zorder=1)
    for curve in panel.curves:
        _curve(axes, curve, marks[curve.label])
    if panel.unit == "percent":
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -_BEYOND), min(high, 100 + _BEYOND))  # an interval may reach where no score can


def _curve(axes: Axes, curve: Curve, mark: str) -> None:
    xs = [x for x, _ in curve.points]
    values, low, high = (
        [estimate.factor * getattr(estimate, name) for _, estimate in curve.points] for name in ("value", "low", "high")
    )
    left, right = _colours(curve)
    axes.fill_between(xs, low, high, color=left, alpha=0.06 if curve.is_dashed else 0.12, linewidth=0, zorder=2)
    axes.plot(xs, values, label=curve.label, zorder=4 if curve.is_beside else 5, **_line(curve, mark, left, right))


def _line(curve: Curve, mark: str, left: str, right: str) -> dict[str, Any]:
    """How a curve is drawn, in the panels and in the legend alike."""
    is_open = curve.is_dashed or curve.is_beside
    style = _DASHES if curve.is_dashed else (_DOTS if curve.is_beside else "-")
    both = {"linestyle": _TWO, "gapcolor": right} if left != right and not is_open else {"linestyle": style}
    return {
        **both, "color": left, "linewidth": 0.9 if curve.is_beside else 1.2, "marker": mark,
        "markersize": 3.6 if curve.is_dashed else 5.2, "fillstyle": "left" if left != right and not is_open else "full",
        "markerfacecolor": "white" if is_open else left, "markerfacecoloralt": right,
        "markeredgecolor": left if is_open else "white", "markeredgewidth": 0.8 if is_open else 0.5,
    }  # fmt: skip


def _told(panels: Sequence[Panel], marks: dict[str, str]) -> dict[str, Artist]:
    """The legend: each row once, and what dashes mean where there are any."""
    from matplotlib.lines import Line2D

    told: dict[str, Artist] = {}
    every = [curve for panel in panels for curve in panel.curves]
    for curve in sorted(every, key=lambda curve: (curve.is_dashed, list(marks).index(curve.label))):
        if curve.label not in told:
            told[curve.label] = Line2D([], [], **_line(curve, marks[curve.label], *_colours(curve)))
    if any(curve.is_dashed for curve in every):
        told["dashed: weights of the moving average"] = Line2D([], [], color="0.3", linestyle=_DASHES)
    if any(panel.behind for panel in panels):
        told["grey: the other rows"] = Line2D([], [], color="0.85", linewidth=0.9)
    return told


def _colours(curve: Curve) -> tuple[str, str]:
    return (UNTAUGHT, UNTAUGHT) if curve.is_beside else colours(curve.teachers)
