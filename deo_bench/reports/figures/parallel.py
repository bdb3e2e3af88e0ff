"""Parallel coordinates of a sweep: a line a finished trial over the paths of its space, to what it reached."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from deo_bench.reports.figures.heat import wrapped
from deo_bench.reports.figures.scales import height_below, labels_below, short
from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.figures.trials import (
    AS_IT_IS,
    ENTITLED,
    LIGHTEST,
    MAP,
    entitle,
    lies_at,
    ringed,
    shown,
    ticks_of,
)
from deo_bench.reports.palette import AS_IT_STANDS
from deo_bench.reports.searched import Aim, Axis, Searched, Tried
from deo_bench.reports.trials import bounds_of, position, reached, sign, value_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PATHS = 8
_TALL, _HEAD = 2.6, 0.42
_BELOW = -0.16
"""Where lines go past a path that is not in force, the axis itself being 0 to 1."""
_PASSED = (0, (2, 1.6))
_APART = 0.04
_LETTERS = 6.5


def parallel_figure(searched: Searched, axes: Sequence[Axis]) -> Figure:
    """The paths in order, then the aims, the better the higher; lines have the colour of the first aim's value."""
    from matplotlib.figure import Figure

    trials = [trial for trial, _ in reached(searched, 0)]
    told = _told(searched, trials, axes)
    figure = Figure(
        figsize=(WIDTH, ENTITLED * bool(searched.cell) + _TALL + _HEAD + height_below(list(told), 2.2)),
        layout="constrained",
    )
    panel = figure.subplots()
    count = len(axes) + len(searched.aims)
    for place, axis in enumerate(axes):
        _path(panel, place, axis, trials, 125 // count)
        if any(position(axis, trial) is None for trial in trials):
            panel.annotate("not in force", (place, _BELOW), (0, -5), textcoords="offset points", ha="center", va="top",
                           fontsize=6, color="0.35")  # fmt: skip
    for place, aim in enumerate(searched.aims):
        _aim(panel, len(axes) + place, aim, [v for t in trials if (v := value_of(t, place)) is not None], 125 // count)
    _lines(panel, searched, trials, axes)
    panel.set_xlim(-0.35, count - 0.55)
    panel.set_ylim(_BELOW - 0.09 if _has_gap(axes, trials) else -0.06, 1.03)
    panel.set_axis_off()
    entitle(figure, searched.cell)
    labels_below(figure, list(told.values()), list(told), "", 2.2)
    return figure


def _has_gap(axes: Sequence[Axis], trials: Sequence[Tried]) -> bool:
    return any(position(axis, trial) is None for axis in axes for trial in trials)


def _path(panel: Axes, place: int, axis: Axis, trials: Sequence[Tried], letters: int) -> None:
    low, high = bounds_of(axis, trials)
    name = f"{axis.name} (log)" if axis.is_log else axis.name
    if axis.choices:
        many = len(axis.choices)
        ticks = [((at + 0.5) / many, wrapped(choice, letters)) for at, choice in enumerate(axis.choices)]
    else:
        numbers = ticks_of(low, high, axis.is_log)
        ticks = [(_height(axis, value, (low, high)), short(value, 3)) for value in numbers]
    _upright(panel, place, wrapped(name, letters), ticks)


def _aim(panel: Axes, place: int, aim: Aim, values: Sequence[float], letters: int) -> None:
    low, high = min(values), max(values)
    ticks = [
        (_share(value, (low, high), sign(aim)), f"{shown(aim, value):.4g}" if aim.is_share else short(value, 4))
        for value in ticks_of(low, high, False)
    ]
    _upright(panel, place, wrapped(f"{aim.name} (percent)" if aim.is_share else aim.name, letters), ticks, is_bold=True)


def _upright(panel: Axes, place: int, name: str, ticks: Sequence[tuple[float, str]], is_bold: bool = False) -> None:
    from matplotlib.patheffects import withStroke

    panel.plot([place, place], [0, 1], color="0.2", linewidth=1.4 if is_bold else 0.9, zorder=5)
    panel.annotate(name, (place, 1), (0, 5), textcoords="offset points", ha="center", va="bottom", fontsize=_LETTERS,
                   fontweight="bold" if is_bold else "normal", parse_math=False)  # fmt: skip
    for height, text in ticks:
        panel.plot([place - 0.03, place + 0.03], [height] * 2, color="0.2", linewidth=0.8, zorder=5)
        panel.annotate(text, (place, height), (-3.5, 0), textcoords="offset points", ha="right", va="center",
                       fontsize=6, zorder=6, parse_math=False,
                       path_effects=[withStroke(linewidth=1.2, foreground="white", alpha=0.6)])  # fmt: skip


def _height(axis: Axis, value: float, bounds: tuple[float, float]) -> float:
    if axis.is_log:
        return _share(log(value), (log(bounds[0]), log(bounds[1])))
    return _share(value, bounds)


def _share(value: float, bounds: tuple[float, float], order: int = 1) -> float:
    low, high = bounds
    share = (value - low) / (high - low) if high > low else 0.5
    return share if order > 0 else 1 - share


def heights(searched: Searched, trials: Sequence[Tried], axes: Sequence[Axis]) -> np.ndarray:
    """Where each trial crosses each upright [T, paths + aims], 0 to 1; NaN where a path is not in force."""
    made = np.full((len(trials), len(axes) + len(searched.aims)), np.nan)
    ends = [bounds_of(axis, trials) for axis in axes]
    for row, trial in enumerate(trials):
        for place, axis in enumerate(axes):
            at = position(axis, trial)
            if at is not None and axis.choices:
                made[row, place] = (lies_at(axis, trial, at) + 0.5) / len(axis.choices)
            elif at is not None:
                made[row, place] = _height(axis, at, ends[place])
    for place, aim in enumerate(searched.aims):
        told = {row: value for row, trial in enumerate(trials) if (value := value_of(trial, place)) is not None}
        bounds = min(told.values(), default=0.0), max(told.values(), default=1.0)
        for row, value in told.items():
            made[row, len(axes) + place] = _share(value, bounds, sign(aim))
    return made


def _lines(panel: Axes, searched: Searched, trials: Sequence[Tried], axes: Sequence[Axis]) -> None:
    import matplotlib as mpl

    made, colours = heights(searched, trials, axes), mpl.colormaps[MAP]
    final = _rerun(searched)
    for height, trial in zip(made, trials, strict=True):
        shade = height[len(axes)]
        looks: dict[str, Any] = {
            "color": colours(LIGHTEST * shade),
            "linewidth": 0.9,
            "alpha": 0.75,
            "zorder": 2 + shade,
        }
        if trial.number in final:
            looks |= {"linewidth": 1.9, "alpha": 1.0, "zorder": 4}
        if trial.is_default:
            looks |= {"color": AS_IT_STANDS, "alpha": 1.0, "zorder": 4.1}
            edged = {"color": "black", "linewidth": looks["linewidth"] + 1.0, "zorder": 4}
            _line(panel, height, looks | edged, past=False)
            panel.plot(np.arange(len(height)), height, zorder=7, **AS_IT_IS)
        _line(panel, height, looks)
    ends = {trial.number: height[-1] for height, trial in zip(made, trials, strict=True) if trial.number in final}
    _numbers(panel, made.shape[1] - 1, {number: end for number, end in ends.items() if np.isfinite(end)})


def _rerun(searched: Searched) -> set[int]:
    """Numbers of the trials that were run with fresh seeds, the recipe as it stands among them where it was."""
    is_default_run = any(one.number is None and any(one.fresh) for one in searched.finalists)
    return ringed(searched) | {trial.number for trial in searched.trials if trial.is_default and is_default_run}


def _numbers(panel: Axes, place: int, ends: dict[int, float]) -> None:
    """The finalists' numbers at the ends of their lines, from above, each as far below the last as it takes to read."""
    at = 2.0
    for number, end in sorted(ends.items(), key=lambda each: -each[1]):
        at = min(end, at - _APART)
        panel.annotate(str(number), (place, at), (5, 0), textcoords="offset points", va="center", fontsize=6)


def _line(panel: Axes, height: np.ndarray, looks: dict[str, Any], past: bool = True) -> None:
    """A trial's line; broken on its way past a path that is not in force, or without that part."""
    from matplotlib.collections import LineCollection

    there = np.isfinite(height)
    ys = np.where(there, height, _BELOW)
    steps = [(place, not (there[place] and there[place + 1])) for place in range(len(ys) - 1)]
    for is_past, style in ((False, "-"), (True, _PASSED)):
        parts = [[(place, ys[place]), (place + 1, ys[place + 1])] for place, at in steps if at == is_past]
        if parts and (past or not is_past):
            panel.add_collection(LineCollection(parts, linestyles=[style], capstyle="round", **looks), autolim=False)


def _told(searched: Searched, trials: Sequence[Tried], axes: Sequence[Axis]) -> dict[str, Artist]:
    import matplotlib as mpl
    from matplotlib.lines import Line2D

    colours, aim = mpl.colormaps[MAP], searched.aims[0].name
    told: dict[str, Artist] = {
        f"best in {aim}": Line2D([], [], color=colours(LIGHTEST), linewidth=1.4),
        f"worst in {aim}": Line2D([], [], color=colours(0.0), linewidth=1.4),
    }
    if any(trial.is_default for trial in trials):
        told["the recipe as it stands"] = Line2D(
            [], [], **AS_IT_IS | {"color": AS_IT_STANDS, "linestyle": "-", "linewidth": 1.2}
        )
    if _rerun(searched):
        told["thick, with its number: run with fresh seeds"] = Line2D([], [], color="0.3", linewidth=1.9)
    if _has_gap(axes, trials):
        told["broken: past a path that is not in force"] = Line2D([], [], color="0.3", linewidth=0.9, linestyle=_PASSED)
    return told
