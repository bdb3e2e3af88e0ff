"""A sweep trial by trial: every value, the best so far, what was stopped, what failed; and of two aims their front."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from deo_bench.reports.figures.pareto import front
from deo_bench.reports.figures.scales import height_below, labels_below
from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.figures.trials import (
    AS_IT_IS,
    ENTITLED,
    LOST,
    RING,
    STOPPED,
    UNDER_WAY,
    dot,
    entitle,
    limits,
    ringed,
    sample,
    set_numbers,
    set_values,
    shown,
    titled,
    titled_with_unit,
    unit,
)
from deo_bench.reports.found import fresh_estimate
from deo_bench.reports.searched import Searched, Tried
from deo_bench.reports.trials import last_measured, reached, running_best, sign, states_of, value_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ACROSS = 3
_ALONE, _PANEL, _HEAD, _FOOT = 2.1, 1.9, 0.28, 0.25
_HANDLE = 1.8
_BOTTOM = 0.03
_LINE: dict[str, Any] = {"color": "0.25", "linewidth": 1.1}
_FRESH: dict[str, Any] = {"color": "black", "linewidth": 0.8}


def history_figure(searched: Searched) -> Figure:
    """A panel an aim over the numbers of the trials, and where there are two a panel of one against the other."""
    from matplotlib.figure import Figure

    count = len(searched.aims) + (len(searched.aims) == 2 and _has_front(searched))
    down = -(-count // _MOST_ACROSS)
    across = -(-count // down)
    told = _told(searched)
    height = (
        ENTITLED * bool(searched.cell)
        + down * ((_ALONE if count == 1 else _PANEL) + _HEAD)
        + _FOOT
        + height_below(list(told), _HANDLE)
    )
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    for place, axes in enumerate(panels):
        if place < len(searched.aims):
            _panel(axes, searched, place)
        elif place < count:
            _front(axes, searched)
        else:
            axes.set_visible(False)
    entitle(figure, searched.cell)
    labels_below(figure, list(told.values()), list(told), "", _HANDLE)
    return figure


def _panel(axes: Axes, searched: Searched, place: int) -> None:
    from matplotlib.ticker import MaxNLocator

    aim = searched.aims[place]
    axes.set_title(titled(aim), loc="left", parse_math=False)
    axes.grid(axis="y", color="0.92", linewidth=0.6)
    axes.set_xlabel("trial")
    axes.set_ylabel(unit(aim), parse_math=False)
    set_values(axes, aim)
    points = reached(searched, place)
    numbers = [trial.number for trial in searched.trials]
    edge = 0.6 + 0.025 * len(numbers)
    axes.set_xlim(min(numbers, default=0) - edge, max(numbers, default=1) + edge)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    values = [shown(aim, value) for _, value in points]
    seen = [*values, *_stopped(axes, searched, place), *_fresh(axes, searched, place)]
    best = running_best(points, sign(aim))
    if best:
        xs, ys = [number for number, _ in best], [shown(aim, value) for _, value in best]
        axes.step([*xs, max(numbers)], [*ys, ys[-1]], where="post", zorder=2, label="best so far", **_LINE)
    axes.plot([trial.number for trial, _ in points], values, zorder=4, label="finished", **dot(len(numbers)))
    final: dict[int, tuple[float, float]] = {}
    for trial, value in points:
        if trial.is_default:
            axes.plot([trial.number], [shown(aim, value)], zorder=5, label="default", **AS_IT_IS)
        if trial.number in ringed(searched):
            axes.plot([trial.number], [shown(aim, value)], zorder=6, label="finalist", **RING)
            final[trial.number] = trial.number, shown(aim, value)
    _at_the_bottom(axes, searched, bool(seen))
    if seen:
        low, high = limits(seen)
        axes.set_ylim(low - 0.08 * (high - low), high + 0.06 * (high - low))
        set_numbers(axes, final)
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no trial has a value", transform=axes.transAxes, ha="center", color="0.5", fontsize=7)


def _stopped(axes: Axes, searched: Searched, place: int) -> list[float]:
    """Pruned trials at what they had come to, which is told of one aim alone; the values that are drawn."""
    if len(searched.aims) > 1:
        return []
    told = [(t.number, at) for t in searched.trials if t.state == "pruned" and (at := last_measured(t)) is not None]
    values = [shown(searched.aims[place], value) for _, (_, value) in told]
    axes.plot([number for number, _ in told], values, zorder=3, label="pruned", **STOPPED)
    return values


def _fresh(axes: Axes, searched: Searched, place: int) -> list[float]:
    """The means of fresh seeds beside the finalists, each on a line to what its trial had; the values drawn."""
    drawn = []
    for number, value, mean in _means(searched, place):
        axes.plot([number] * 2, [value, mean], zorder=3, label="fresh", **_FRESH)
        axes.plot([number], [mean], "_", color="black", markersize=7, markeredgewidth=1.3, zorder=5)
        drawn.append(mean)
    return drawn


def _means(searched: Searched, place: int) -> list[tuple[int, float, float]]:
    """Number, value and mean over fresh seeds of the finalists that have both, as an axis has them."""
    import numpy as np

    aim, by_number = searched.aims[place], {trial.number: trial for trial in searched.trials}
    made = []
    for finalist in searched.finalists:
        trial = by_number.get(finalist.number if finalist.number is not None else _default(searched))
        seeds = finalist.fresh[place] if place < len(finalist.fresh) else {}
        mean = fresh_estimate(np.array(list(seeds.values())), aim)
        value = value_of(trial, place) if trial else None
        if trial is None or mean is None or value is None:
            continue
        made.append((trial.number, shown(aim, value), shown(aim, mean.value)))
    return made


def _default(searched: Searched) -> int:
    return next((trial.number for trial in searched.trials if trial.is_default), -1)


def _at_the_bottom(axes: Axes, searched: Searched, has_values: bool) -> None:
    """What has no value: failed, under way, and pruned before anything was measured."""
    is_bare = len(searched.aims) > 1 or not has_values
    pruned = [t.number for t in searched.trials if t.state == "pruned" and (is_bare or last_measured(t) is None)]
    failed = [trial.number for trial in searched.trials if trial.state == "failed"]
    running = [trial.number for trial in searched.trials if trial.state == "running"]
    for numbers, mark, label in (
        (pruned, STOPPED, "pruned"),
        (failed, LOST, "failed"),
        (running, UNDER_WAY, "running"),
    ):
        if numbers:
            axes.plot(numbers, [_BOTTOM] * len(numbers), transform=axes.get_xaxis_transform(), zorder=5, label=label,
                      **mark)  # fmt: skip


def _pairs(searched: Searched) -> list[tuple[Tried, float, float]]:
    """The trials that have both values."""
    pairs = [(trial, value_of(trial, 0), value_of(trial, 1)) for trial in searched.trials]
    return [(trial, x, y) for trial, x, y in pairs if x is not None and y is not None]


def _has_front(searched: Searched) -> bool:
    return bool(_pairs(searched))


def _unbeaten(searched: Searched) -> list[tuple[float, float]]:
    """The pairs of values that nothing beats in both, in order."""
    (first, second), told = searched.aims[:2], _pairs(searched)
    kept = front([-sign(first) * x for _, x, _ in told], [sign(second) * y for _, _, y in told])
    return [told[place][1:] for place in kept]


def _fresh_pairs(axes: Axes, searched: Searched) -> None:
    """The means of fresh seeds in both aims, each on a line from what its trial had."""
    ends = [{number: told for number, *told in _means(searched, place)} for place in range(2)]
    for number in ends[0].keys() & ends[1].keys():
        xs, ys = ends[0][number], ends[1][number]
        axes.plot(xs, ys, zorder=3, label="fresh", **_FRESH)
        axes.plot(xs[1:], ys[1:], "_", color="black", markersize=7, markeredgewidth=1.3, zorder=5, label="mean")


def _front(axes: Axes, searched: Searched) -> None:
    """One aim against the other, and what nothing beats in both."""
    first, second = searched.aims[:2]
    told = _pairs(searched)
    best = [(shown(first, x), shown(second, y)) for x, y in _unbeaten(searched)]
    steps = [
        best[0],
        *(point for before, after in pairwise(best) for point in _corner(before, after)),
    ]
    if len(best) > 1:
        axes.plot([x for x, _ in steps], [y for _, y in steps], zorder=2, color="0.45", linewidth=1.0, label="front")
    _fresh_pairs(axes, searched)
    xs, ys = [shown(first, x) for _, x, _ in told], [shown(second, y) for _, _, y in told]
    axes.plot(xs, ys, zorder=4, label="finished", **dot(len(told)))
    final: dict[int, tuple[float, float]] = {}
    for (trial, _, _), x, y in zip(told, xs, ys, strict=True):
        if trial.is_default:
            axes.plot([x], [y], zorder=5, label="default", **AS_IT_IS)
        if trial.number in ringed(searched):
            axes.plot([x], [y], zorder=6, label="finalist", **RING)
            final[trial.number] = x, y
    axes.set_title("one against the other", loc="left")
    axes.set_xlabel(titled_with_unit(first), parse_math=False)
    axes.set_ylabel(titled_with_unit(second), parse_math=False)
    axes.grid(color="0.92", linewidth=0.6)
    set_values(axes, first, "x")
    set_values(axes, second)
    axes.margins(0.12)
    set_numbers(axes, final)


def _corner(before: tuple[float, float], after: tuple[float, float]) -> list[tuple[float, float]]:
    """From a point of the front to the next: what the first dominates goes on until the second is reached."""
    return [(after[0], before[1]), after]


def _told(searched: Searched) -> dict[str, Artist]:
    from matplotlib.lines import Line2D

    count, has_value = states_of(searched), any(reached(searched, place) for place in range(len(searched.aims)))
    told: dict[str, Artist] = {}
    if has_value:
        told["finished"] = sample(dot(0))
        told["best so far"] = Line2D([], [], **_LINE)
    if any(trial.is_default and trial.state == "complete" for trial in searched.trials):
        told["the recipe as it stands"] = sample(AS_IT_IS)
    if ringed(searched):
        told["run with fresh seeds"] = sample(RING)
    if any(seeds for finalist in searched.finalists for seeds in finalist.fresh):
        told["mean of fresh seeds"] = Line2D([], [], marker="_", markersize=7, markeredgewidth=1.3, **_FRESH)
    if count["pruned"]:
        where = "where it was stopped" if len(searched.aims) == 1 else "at the bottom"
        told[f"pruned, {where}"] = sample(STOPPED)
    if count["failed"]:
        told["failed"] = sample(LOST)
    if count["running"]:
        told["under way"] = sample(UNDER_WAY)
    if len(searched.aims) == 2 and _has_front(searched) and len(_unbeaten(searched)) > 1:
        told["front: nothing is better in both"] = Line2D([], [], color="0.45", linewidth=1.0)
    return told
