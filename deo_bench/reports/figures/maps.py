"""What backbones see in a few images: the images, and beside them each backbone's principal components as colours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deo_bench.reports.figures.style import WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ACROSS = 7
"""Backbones in one figure: more, and a map is smaller than a thumbnail at print size."""
_GAP = 0.05
_LARGEST = 1.35
_TALLEST = 8.2
"""Inches: between two pictures, of a picture's side, and of all rows together."""
_TITLE = 7
_LINE = 0.125
"""Points of a title's letters, and inches from line to line."""
_STRETCH = (2.0, 98.0)


@dataclass(frozen=True)
class Column:
    """One backbone's maps [N, H, W, 3], and the share of its features' variance that each component has [3]."""

    maps: np.ndarray
    explained: np.ndarray

    def share(self, first_only: bool = False) -> float:
        """The share of the variance that all three show, or the first alone."""
        return float(self.explained[0] if first_only else self.explained.sum())


def maps_figure(pictures: np.ndarray, columns: Mapping[str, Column], first_only: bool = False) -> Figure:
    """A row an image, a column a backbone, after the images [N, h, w, 3] themselves.

    The three components are red, green and blue, each stretched over the backbone's own images; first_only: the first
    alone, from dark to light, which needs no colour to be read.
    """
    from matplotlib.figure import Figure

    down, high, wide, _ = pictures.shape
    across, slope = 1 + len(columns), high / wide
    side = min((WIDTH + _GAP) / across - _GAP, _LARGEST, (_TALLEST / down - _GAP) / slope)
    titles = [wrapped(label, side) for label in ("image", *columns)]
    shares = ["", *(f"{100 * column.share(first_only):.0f} % of variance" for column in columns.values())]
    shown = [pictures, *(colours(column.maps, first_only) for column in columns.values())]
    head = _LINE * (1 + max(title.count("\n") + 1 for title in titles)) + 0.06
    height = head + down * (side * slope + _GAP)
    figure = Figure(figsize=(WIDTH, height))
    left = (WIDTH - across * (side + _GAP) + _GAP) / 2
    for place, (title, share, images) in enumerate(zip(titles, shares, shown, strict=True)):
        x = left + place * (side + _GAP)
        for row, image in enumerate(images):
            bottom = height - head - (row + 1) * (side * slope + _GAP) + _GAP
            axes = figure.add_axes((x / WIDTH, bottom / height, side / WIDTH, side * slope / height))
            # Each cell is a square of one colour: what is between cells, the backbone did not say.
            axes.imshow(image, interpolation="nearest", aspect="auto", cmap="viridis", vmin=0, vmax=1)
            axes.set_axis_off()
        middle = (x + side / 2) / WIDTH
        base, above = 1 - (head - 0.04) / height, 1 - (head - 0.07 - _LINE) / height
        figure.text(middle, base, share, fontsize=6, color="0.35", ha="center", va="bottom")
        figure.text(middle, above, title, fontsize=_TITLE, ha="center", va="baseline", linespacing=1.1)
    return figure


def colours(maps: np.ndarray, first_only: bool = False) -> np.ndarray:
    """Maps [N, H, W, 3] as colours, 0 to 1, or the first component alone [N, H, W]; a flat component is grey."""
    low, high = np.percentile(maps, _STRETCH, axis=(0, 1, 2))
    spread = high - low
    scaled = np.where(spread > 0, (maps - low) / np.where(spread > 0, spread, 1), 0.5).clip(0, 1)
    return scaled[..., 0] if first_only else scaled


def wrapped(label: str, inches: float) -> str:
    """A label in lines that fit above a picture: broken at spaces, and long words at what separates settings."""
    most = max(int(inches * 72 / (0.56 * _TITLE)), 4)
    lines = [""]
    for word in label.split():
        if len(lines[-1]) + 1 + len(word) > most:
            lines.append("")
        elif lines[-1]:
            word = f" {word}"
        for piece in re.findall(rf"[^=_./+-]{{1,{most - 1}}}[=_./+-]?|[=_./+-]", word):
            if len(lines[-1]) + len(piece) > most:
                lines.append("")
            lines[-1] += piece
    return "\n".join(line for line in lines if line)
