"""Axes of what grows by factors: steps, labels, costs; and marks that tell rows apart without colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = ("o", "s", "^", "D", "v", "P", "X")
"""Shapes that are told apart at print size, and can be filled in two halves."""
_WIDE = 12.0
"""Times the smallest value: beyond it an axis is logarithmic."""
_NUMBERS = 6.5


def set_scale(axes: Axes, values: Sequence[float], ticks: Sequence[float] = ()) -> None:
    """A linear axis for values close together, else a logarithmic one, with room for a zero where there is one."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    positive = [value for value in values if value > 0]
    if positive and max(positive) > _WIDE * min(positive):
        if min(values) > 0:
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=min(positive), linscale=0.4)
    if ticks:
        axes.xaxis.set_major_locator(FixedLocator(_apart(axes, ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def short(value: float) -> str:
    """A number in as few letters as say it: `250`, `1.5k`, `100k`, `2M`."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def labels_below(figure: Figure, handles: Sequence[object], labels: Sequence[str]) -> None:
    """One legend under all panels, in as many columns as the longest label allows."""
    from deo_bench.reports.figures.style import WIDTH

    longest = max(len(label) for label in labels)
    columns = max(1, min(len(labels), int(WIDTH / (0.062 * longest + 0.45))))
    figure.legend(
        handles=list(handles), labels=list(labels), loc="outside lower left", ncols=columns, frameon=False,
        fontsize=7, handlelength=2.6, columnspacing=1.4, borderaxespad=0.2,
    )  # fmt: skip


def rows_below(labels: Sequence[str]) -> int:
    """How many lines `labels_below` takes."""
    from deo_bench.reports.figures.style import WIDTH

    longest = max((len(label) for label in labels), default=1)
    columns = max(1, min(len(labels), int(WIDTH / (0.062 * longest + 0.45))))
    return -(-len(labels) // columns)


def _apart(axes: Axes, ticks: Sequence[float]) -> list[float]:
    """The ticks whose numbers do not run into one another, the last one always."""
    transform = axes.xaxis.get_transform()
    at = {tick: float(transform.transform([tick])[0]) for tick in sorted(set(ticks))}
    low, high = min(at.values()), max(at.values())
    room = (high - low) / _NUMBERS
    kept: list[float] = []
    for tick in sorted(at, reverse=True):
        if not kept or at[kept[-1]] - at[tick] >= room:
            kept.append(tick)
    return kept[::-1]
