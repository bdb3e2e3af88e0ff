"""How trials of a sweep are marked, and axes of the paths that they set: the same in every figure of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10
from typing import TYPE_CHECKING, Any, Literal

from deo_bench.reports.figures.heat import wrapped
from deo_bench.reports.figures.scales import short
from deo_bench.reports.palette import AS_IT_STANDS, FAILED, PRUNED, TRIED
from deo_bench.reports.searched import Aim, Axis, Searched, Tried
from deo_bench.reports.trials import bounds_of, factor, in_force, position

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP = "cividis"
"""Even steps, seen alike with and without colour vision deficiencies; its lightest end is left out on white paper."""
LIGHTEST = 0.9
_MANY = 80
_GOLDEN = 0.6180339887
_WIDE = 0.44
_LEAST = 0.004
_SIDES = ((5, 4), (5, -9), (-5, -9), (-5, 4))
_RADIUS, _DIGIT, _HEIGHT = 4.7, 3.8, 4.4
"""Where a point's number may stand; of rings and of numbers, how large they are; in points."""
ENTITLED = 0.22
"""Inches that the name of a cell takes."""

AS_IT_IS: dict[str, Any] = {
    "linestyle": "none", "marker": "D", "markersize": 5.4, "markerfacecolor": AS_IT_STANDS, "markeredgecolor": "black",
    "markeredgewidth": 0.7,
}  # fmt: skip
RING: dict[str, Any] = {
    "linestyle": "none", "marker": "o", "markersize": 8.5, "markerfacecolor": "none", "markeredgecolor": "black",
    "markeredgewidth": 0.9,
}  # fmt: skip
STOPPED: dict[str, Any] = {
    "linestyle": "none", "marker": "_", "markersize": 4.5, "markeredgecolor": PRUNED, "markeredgewidth": 1.1,
}  # fmt: skip
LOST: dict[str, Any] = {
    "linestyle": "none", "marker": "x", "markersize": 4.2, "markeredgecolor": FAILED, "markeredgewidth": 1.2,
}  # fmt: skip
UNDER_WAY: dict[str, Any] = {
    "linestyle": "none", "marker": "^", "markersize": 4.2, "markerfacecolor": "white", "markeredgecolor": "0.4",
    "markeredgewidth": 0.8,
}  # fmt: skip


def dot(count: int) -> dict[str, Any]:
    """A finished trial's mark, smaller where there are many."""
    return {
        "linestyle": "none", "marker": "o", "markersize": 4.4 if count <= _MANY else 2.6, "markerfacecolor": TRIED,
        "markeredgecolor": "white", "markeredgewidth": 0.4,
    }  # fmt: skip


def sample(mark: dict[str, Any]) -> Artist:
    """A mark for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **mark)


def ringed(searched: Searched) -> set[int]:
    """Numbers of the trials that were run with fresh seeds."""
    return {finalist.number for finalist in searched.finalists if finalist.number is not None}


def unit(aim: Aim) -> str:
    """What stands beside an aim's axis: `percent`, or what is counted."""
    return "percent" if aim.is_share else aim.name


def titled_with_unit(aim: Aim) -> str:
    """An aim beside an axis of a panel that has no title of its own."""
    return f"{titled(aim)} (percent)" if aim.is_share else titled(aim)


def only_of(axis: Axis, trials: Sequence[Tried]) -> dict[int, str]:
    """Of choices that no finished trial had what became of those that had them: `only pruned`."""
    there: dict[int, set[str]] = {}
    for trial in trials:
        at = position(axis, trial) if axis.choices else None
        if at is not None:
            there.setdefault(int(at), set()).add(trial.state)
    words = {"pruned": "pruned", "failed": "failed", "running": "under way"}
    return {
        at: f"only {' or '.join(word for state, word in words.items() if state in states)}"
        for at, states in there.items()
        if "complete" not in states
    }


def titled(aim: Aim) -> str:
    """An aim above a panel, which says so where less is better."""
    return f"{aim.name}, less is better" if aim.direction == "min" else aim.name


def lies_at(axis: Axis, trial: Tried, at: float) -> float:
    """Where a trial is drawn on an axis: in the column of its choice a little aside, the same in every figure."""
    return at + ((trial.number * _GOLDEN + 0.5) % 1 - 0.5) * _WIDE if axis.choices else at


def set_path(axes: Axes, axis: Axis, trials: Sequence[Tried], letters: int) -> None:
    """The x axis of a path, logarithmic where the space is, a column a choice; letters: room for a choice's name."""
    if axis.choices:
        names = [wrapped(choice, max(letters // len(axis.choices), 4)) for choice in axis.choices]
        axes.set_xticks(range(len(names)), names, parse_math=False)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.tick_params(axis="x", length=0)
        return
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = bounds_of(axis, trials)
    ticks = ticks_of(low, high, axis.is_log)
    if axis.is_log:
        edge = (high / low) ** 0.06 if high > low else 1.5
        axes.set_xscale("log")
        axes.set_xlim(low / edge, high * edge)
    else:
        edge = 0.06 * (high - low) or 0.5
        axes.set_xlim(low - edge, high + edge)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def set_values(axes: Axes, aim: Aim, which: Literal["x", "y"] = "y") -> None:
    """Numbers of an aim in its own unit in as few letters as say them: parameters run into millions."""
    from matplotlib.ticker import FuncFormatter

    if not aim.is_share:
        axis = axes.yaxis if which == "y" else axes.xaxis
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value, 4)))


def ticks_of(low: float, high: float, is_log: bool) -> list[float]:
    """The ends of an axis, and between them up to two round numbers that run into neither."""
    if not low < high:
        return [low]
    if not is_log:
        return [low, (low + high) / 2, high]
    span = log10(high / low)
    numbers = [times * 10.0**power for power in range(floor(log10(low)), floor(log10(high)) + 1) for times in (1, 2, 5)]
    inner = [n for n in numbers if log10(n / low) > 0.22 * span and log10(high / n) > 0.22 * span]
    tens = [n for n in inner if round(log10(n), 6) == round(log10(n))]
    chosen = tens or inner
    if len(chosen) > 2:
        chosen = [chosen[len(chosen) // 3], chosen[-1 - len(chosen) // 3]]
        chosen = chosen[:1] if log10(chosen[-1] / chosen[0]) < 0.22 * span else chosen
    return [low, *chosen, high]


def path_title(axis: Axis, trials: Sequence[Tried], letters: int) -> str:
    """A path's name, and in how many of the trials it was in force where not in all."""
    held = len(in_force(axis, trials))
    name = wrapped(axis.name, letters)
    return name if held == len(trials) else f"{name}\n(in force in {held} of {len(trials)})"


def set_numbers(axes: Axes, final: Mapping[int, tuple[float, float]]) -> None:
    """The finalists' numbers beside their points, each on the side where least is in its way."""
    axes.autoscale_view()
    points = 72 / axes.figure.dpi
    spots = {number: points * axes.transData.transform(point) for number, point in final.items()}
    taken = [(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in spots.values()]
    for number, (x, y) in sorted(spots.items(), key=lambda each: -each[1][1]):
        boxes = [_box(x + right, y + up, len(str(number)), right > 0) for right, up in _SIDES]
        side = min(range(len(_SIDES)), key=lambda at: sum(_meet(boxes[at], other) for other in taken))
        taken.append(boxes[side])
        axes.annotate(str(number), final[number], _SIDES[side], fontsize=6, textcoords="offset points", zorder=7,
                      ha="left" if _SIDES[side][0] > 0 else "right")  # fmt: skip


def _box(x: float, y: float, digits: int, goes_right: bool) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a number that begins, or ends, at a place."""
    width = digits * _DIGIT
    return (x, y, x + width, y + _HEIGHT) if goes_right else (x - width, y, x, y + _HEIGHT)


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def shown(aim: Aim, value: float) -> float:
    """A value as an axis has it."""
    return factor(aim) * value


def limits(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis of values, with room around them; values that hardly differ are not drawn as if they did."""
    low, high = min(values), max(values)
    edge = max(0.09 * (high - low), _LEAST * abs(high), 1e-3)
    return low - edge, high + edge


def entitle(figure: Figure, cell: str) -> None:
    """The cell that a study tunes above everything, where there are several."""
    if cell:
        figure.suptitle(cell, x=0.005, ha="left", fontsize=8, fontweight="bold", parse_math=False)
