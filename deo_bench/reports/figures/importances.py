"""Importances of a sweep's paths as bars, one panel an aim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deo_bench.reports.figures.heat import wrapped
from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.figures.trials import ENTITLED, entitle
from deo_bench.reports.importances import Importances
from deo_bench.reports.palette import TRIED
from deo_bench.reports.searched import Aim, Axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 20
_MOST_ACROSS = 3
_ROW, _HEAD, _FOOT = 0.19, 0.3, 0.42
_LABEL = 34


def importances_figure(aims: Sequence[Aim], found: Sequence[Importances], axes: Sequence[Axis], cell: str) -> Figure:
    """A bar a path, in the order of the first aim that has any; hatched where a path was not in force in all."""
    from matplotlib.figure import Figure

    shown = [(aim, one) for aim, one in zip(aims, found, strict=True) if one.shares]
    paths = list(dict.fromkeys(path for _, one in shown for path in one.shares))[:MOST_ROWS]
    names = {axis.path: wrapped(axis.name, _LABEL) for axis in axes}
    down = -(-len(shown) // _MOST_ACROSS)
    across = -(-len(shown) // down)
    lines = sum(names[path].count("\n") + 1 for path in paths)
    figure = Figure(
        figsize=(WIDTH, ENTITLED * bool(cell) + down * (_ROW * max(lines, 2) + _HEAD) + _FOOT), layout="constrained"
    )
    for place, panel in enumerate(figure.subplots(down, across, squeeze=False, sharey=True).flat):
        if place >= len(shown):
            panel.set_visible(False)
            continue
        _panel(panel, *shown[place], paths)
        if place % across == 0:
            panel.set_yticks(range(len(paths)), [names[path] for path in paths], parse_math=False)
    told = "percent of what all paths tell of the best trials"
    figure.supxlabel(told, fontsize=8)
    entitle(figure, cell)
    return figure


def _panel(axes: Axes, aim: Aim, found: Importances, paths: Sequence[str]) -> None:
    axes.set_title(f"{aim.name}: best {found.top} of {found.trials}", loc="left", parse_math=False)
    axes.grid(axis="x", color="0.92", linewidth=0.6)
    most = max(found.shares.values())
    for height, path in enumerate(paths):
        share, held = found.shares.get(path), found.conditional.get(path)
        if share is None:
            axes.text(0.4, height, "not measured", va="center", fontsize=6, color="0.5")
            continue
        looks = {"color": TRIED} if held is None else {"facecolor": "white", "edgecolor": TRIED, "hatch": "/////"}
        axes.barh([height], [100 * share], height=0.66, linewidth=0.8, **looks)  # type: ignore[arg-type]
        told = f"{100 * share:.0f}" + ("" if held is None else f" (in force in {held})")
        axes.text(100 * share + 1.2 * most, height, told, va="center", fontsize=6.5, color="0.25")
    axes.set_xlim(0, 124 * most)
    axes.set_ylim(len(paths) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
