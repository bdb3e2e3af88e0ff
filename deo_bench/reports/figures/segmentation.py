"""Maps of classes: what is true of a few images, and beside it what each row predicts, one colour a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deo_bench.reports.figures.maps import wrapped
from deo_bench.reports.figures.scales import height_below, labels_below
from deo_bench.reports.figures.style import WIDTH
from deo_bench.reports.palette import IGNORED, class_colours

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

_GAP = 0.05
_LARGEST = 1.35
_TALLEST = 7.6
"""Inches: between two maps, of a map's side, and of all rows together."""
_TITLE, _LINE = 7, 0.125
"""Points of a title's letters, and inches from line to line."""
_HANDLE = 1.2
"""Letters that a sample of a colour is wide."""
_STRIPES = 16
"""Stripes across a map where pixels have no label."""


@dataclass(frozen=True)
class Maps:
    """What one row predicts [M, H, W], and the share of the labelled pixels that is right."""

    maps: np.ndarray
    right: float


def segmentation_figure(truth: np.ndarray, columns: Mapping[str, Maps], names: Sequence[str], where: str) -> Figure:
    """A row an image, a column a backbone, after what is true [M, H, W], -1 where there is no label.

    names: of the classes; where: protocol, probe and bands.
    """
    from matplotlib.figure import Figure

    down, high, wide = truth.shape
    across, slope = 1 + len(columns), high / wide
    side = min((WIDTH + _GAP) / across - _GAP, _LARGEST, (_TALLEST / down - _GAP) / slope)
    titles = [wrapped(label, side) for label in ("truth", *columns)]
    told = ["", *(f"{100 * column.right:.0f} % right" for column in columns.values())]
    legend = _legend(truth, columns, names)
    head = _LINE * (1 + max(title.count("\n") + 1 for title in titles)) + 0.06
    foot = height_below(list(legend), _HANDLE) + 0.06
    height = head + down * (side * slope + _GAP) + foot
    figure = Figure(figsize=(WIDTH, height))
    left = (WIDTH - across * (side + _GAP) + _GAP) / 2
    for place, maps in enumerate([truth, *(column.maps for column in columns.values())]):
        x = left + place * (side + _GAP)
        for row, image in enumerate(painted(maps, truth, names)):
            bottom = height - head - (row + 1) * (side * slope + _GAP) + _GAP
            axes = figure.add_axes((x / WIDTH, bottom / height, side / WIDTH, side * slope / height))
            axes.imshow(image, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
        middle = (x + side / 2) / WIDTH
        base, above = 1 - (head - 0.04) / height, 1 - (head - 0.07 - _LINE) / height
        figure.text(middle, base, told[place], fontsize=6, color="0.35", ha="center", va="bottom")
        figure.text(middle, above, titles[place], fontsize=_TITLE, ha="center", va="baseline", linespacing=1.1)
    labels_below(figure, list(legend.values()), list(legend), where, _HANDLE, "lower left")
    return figure


def painted(maps: np.ndarray, truth: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Maps of classes [M, H, W] by their names as colours [M, H, W, 3]; striped in grey where truth is -1."""
    from matplotlib.colors import to_rgb

    table = np.array([to_rgb(colour) for colour in class_colours(names)])
    grey = np.array([to_rgb(colour) for colour in IGNORED])
    rows, columns = np.indices(maps.shape[1:])
    stripes = grey[(rows + columns) // max(maps.shape[1] // _STRIPES, 1) % 2]
    known = table[maps.clip(0, len(names) - 1)]
    return np.where((truth < 0)[..., None], stripes, known)


def _legend(truth: np.ndarray, columns: Mapping[str, Maps], names: Sequence[str]) -> dict[str, Artist]:
    """The classes that are seen, in order, and what the stripes mean where there are any."""
    from matplotlib.patches import Patch

    known = truth >= 0
    seen = {int(each) for maps in (truth, *(column.maps for column in columns.values())) for each in maps[known]}
    found: dict[str, Artist] = {}
    for number, (name, colour) in enumerate(zip(names, class_colours(names), strict=True)):
        if number in seen:
            # Two classes of one name, which nothing forbids, are told apart by their numbers.
            told = name if list(names).count(name) == 1 else f"{name} ({number})"
            found[told] = Patch(facecolor=colour, edgecolor="0.4", linewidth=0.4)
    if not known.all():
        found["no label"] = Patch(facecolor=IGNORED[0], edgecolor=IGNORED[1], hatch="//////", linewidth=0)
    return found
