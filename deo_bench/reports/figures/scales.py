"""Axes of what grows by factors: steps, labels, costs; and marks that tell rows apart without colour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = ("o", "s", "^", "D", "v", "P", "X")
"""Shapes that are told apart at print size, and can be filled in two halves."""
_WIDE = 12.0
"""Times the smallest value: beyond it an axis is logarithmic."""
_LETTERS = 7
_NUMBERS = 8.0
"""How many ticks an axis has room for."""


def set_scale(axes: Axes, values: Sequence[float], ticks: Sequence[float] = ()) -> None:
    """A linear axis for values close together, else a logarithmic one, with room for a zero where there is one."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    positive = [value for value in values if value > 0]
    is_wide = bool(positive) and max(positive) > _WIDE * min(positive)
    if is_wide:
        if min(values) > 0:
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=min(positive), linscale=0.4)
    chosen = ticks or (_round_numbers(values) if is_wide else ())
    if chosen:
        axes.xaxis.set_major_locator(FixedLocator(_apart(axes, chosen)))
    elif not is_wide:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value, _digits(axes.get_xticks()))))


def _round_numbers(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times powers of ten within positive values."""
    low, high = min(value for value in values if value > 0), max(values)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    numbers = [times * 10.0**power for power in range(first, last + 1) for times in (1, 2, 5)]
    return [number for number in numbers if low <= number <= high] or [low, high]


def _digits(ticks: Iterable[float]) -> int:
    """How many digits tell all ticks apart, and say where they are: 156.75 is neither 157 nor 156.8 beside 157."""
    values = sorted(set(ticks))
    least = min((after - before for before, after in pairwise(values)), default=0.0)
    for digits in range(3, 8):
        if all(abs(float(f"{value:.{digits}g}") - value) <= 0.05 * least for value in values):
            return digits
    return 3


def short(value: float, digits: int = 3) -> str:
    """A number in as few letters as say it: `250`, `1.5k`, `100k`, `2M`."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.{digits}g}{letter}"
    return f"{value:.{digits}g}"


def labels_below(
    figure: Figure, handles: Sequence[object], labels: Sequence[str], title: str, handle: float = 2.6,
    loc: Literal["lower left", "outside lower left"] = "outside lower left",
) -> None:  # fmt: skip
    """One legend under all panels, in as many columns as the longest label allows.

    title: what holds for all; handle: how wide a sample is, in letters; loc: `lower left` where nothing makes room.
    """
    figure.legend(
        handles=list(handles), labels=list(labels), loc=loc, ncols=_columns(labels, handle),
        frameon=False, fontsize=_LETTERS, handlelength=handle, columnspacing=1.4, borderaxespad=0.2, title=title,
        title_fontsize=_LETTERS, alignment="left",
    )  # fmt: skip


def height_below(labels: Sequence[str], handle: float = 2.6) -> float:
    """How many inches `labels_below` takes."""
    return 0.147 * (1 + -(-len(labels) // _columns(labels, handle))) + 0.1


def _columns(labels: Sequence[str], handle: float) -> int:
    from deo_bench.reports.figures.style import WIDTH

    longest = max((len(label) for label in labels), default=1)
    wide = (0.53 * longest + handle + 2.6) * _LETTERS / 72
    return max(1, min(len(labels), int(WIDTH / wide)))


def _apart(axes: Axes, ticks: Sequence[float]) -> list[float]:
    """The ticks whose numbers do not run into one another, the last and the first always."""
    transform = axes.xaxis.get_transform()
    at = {tick: float(transform.transform([tick])[0]) for tick in sorted(set(ticks))}
    low, high = min(at.values()), max(at.values())
    room = (high - low) / _NUMBERS
    kept: list[float] = []
    for tick in sorted(at, reverse=True):
        if not kept or at[kept[-1]] - at[tick] >= room:
            kept.append(tick)
    first = min(at, key=lambda tick: at[tick])
    if first not in kept:
        kept = [*(kept[:-1] if len(kept) > 1 else kept), first]
    return kept[::-1]
