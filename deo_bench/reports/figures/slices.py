"""Slices of a sweep: what trials reached against each path's value, one panel a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deo_bench.reports.figures.scales import height_below, labels_below
from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.figures.trials import (
    AS_IT_IS,
    ENTITLED,
    LIGHTEST,
    MAP,
    RING,
    dot,
    entitle,
    lies_at,
    limits,
    only_of,
    path_title,
    ringed,
    sample,
    set_numbers,
    set_path,
    set_values,
    shown,
    titled,
    unit,
)
from deo_bench.reports.searched import Axis, Searched, Tried
from deo_bench.reports.trials import position, reached

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PATHS = 12
_MOST_ACROSS = 4
_PANEL, _HEAD, _FOOT = 1.35, 0.34, 0.3
_HANDLE = 1.8
_LETTERS = 104
"""Letters of a title or of ticks beside one another on a page."""


def slices_figure(searched: Searched, place: int, paths: Sequence[Axis]) -> Figure:
    """The aim at a place against each of some paths; the later a trial, the lighter its dot."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    points = reached(searched, place)
    down = -(-len(paths) // _MOST_ACROSS)
    across = -(-len(paths) // down)
    told = _told(searched, [trial for trial, _ in points])
    height = ENTITLED * bool(searched.cell) + down * (_PANEL + _HEAD) + _FOOT + height_below(list(told), _HANDLE)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    numbers = [trial.number for trial, _ in points] or [0]
    colours = ScalarMappable(Normalize(min(numbers), max(numbers) + (max(numbers) == min(numbers))), _shades())
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for number, axes in enumerate(panels.flat):
        if number >= len(paths):
            axes.set_visible(False)
            continue
        _panel(axes, searched, place, paths[number], points, colours, _LETTERS // across - 6)
        if number % across == 0:
            axes.set_ylabel(unit(searched.aims[place]), parse_math=False)
    bar = figure.colorbar(colours, ax=panels, label="trial", aspect=14 * down, pad=0.015, fraction=0.03)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(6, integer=True, steps=[1, 2, 5, 10])
    bar.update_ticks()
    bar.ax.tick_params(labelsize=6.5)
    entitle(figure, searched.cell)
    labels_below(figure, list(told.values()), list(told), titled(searched.aims[place]), _HANDLE)
    return figure


def _shades() -> Any:
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    colours = mpl.colormaps[MAP]
    return ListedColormap([colours(LIGHTEST * step / 255) for step in range(256)])


def _panel(
    axes: Axes, searched: Searched, place: int, path: Axis, points: Sequence[tuple[Tried, float]], colours: Any,
    letters: int,
) -> None:  # fmt: skip
    aim, trials = searched.aims[place], [trial for trial, _ in points]
    axes.set_title(path_title(path, trials, letters), loc="left", fontsize=7, parse_math=False)
    axes.grid(axis="y", color="0.92", linewidth=0.6)
    axes.tick_params(axis="both", labelsize=6.5)
    set_path(axes, path, trials, letters)
    for choice, words in only_of(path, searched.trials).items():
        axes.text(choice, 0.5, words, transform=axes.get_xaxis_transform(), rotation=90, ha="center", va="center",
                  fontsize=6, color="0.45")  # fmt: skip
    there = [
        (trial, lies_at(path, trial, at), shown(aim, value))
        for trial, value in points
        if (at := position(path, trial)) is not None
    ]
    others = [each for each in there if not each[0].is_default]
    size = dot(len(points))["markersize"] ** 2
    axes.scatter(
        [x for _, x, _ in others], [y for *_, y in others], s=size, linewidths=0.4, edgecolors="white", zorder=3,
        c=[colours.to_rgba(trial.number) for trial, *_ in others] or None,
    )  # fmt: skip
    default = [each for each in there if each[0].is_default]
    final = [each for each in there if each[0].number in ringed(searched)]
    axes.plot([x for _, x, _ in default], [y for *_, y in default], zorder=5, label="default", **AS_IT_IS)
    axes.plot([x for _, x, _ in final], [y for *_, y in final], zorder=6, label="finalist", **RING)
    set_values(axes, aim)
    axes.set_ylim(*limits([shown(aim, value) for _, value in points]))
    set_numbers(axes, {trial.number: (x, y) for trial, x, y in final})


def _told(searched: Searched, trials: Sequence[Tried]) -> dict[str, Artist]:
    told: dict[str, Artist] = {"finished, the later the lighter": sample(dot(0) | {"markerfacecolor": "0.4"})}
    if any(trial.is_default for trial in trials):
        told["the recipe as it stands"] = sample(AS_IT_IS)
    if ringed(searched):
        told["run with fresh seeds"] = sample(RING)
    return told
