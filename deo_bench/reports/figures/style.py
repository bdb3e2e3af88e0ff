"""How figures look and how they are saved: at print size, with the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Format = Literal["svg", "pdf", "png"]

WIDTH = 7.0
"""Inches: the text width of a page."""
DOTS_PER_INCH = 200
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "svg.fonttype": "path",
    "svg.hashsalt": "deo-bench",
    "pdf.fonttype": 42,
    "figure.facecolor": "white",
}


def encode(draw: Callable[[], Figure], form: Format) -> bytes:
    """A figure as a file's bytes, which are the same every time."""
    with styled():
        figure = draw()
        made = io.BytesIO()
        stamp = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}[form]
        figure.savefig(made, format=form, dpi=DOTS_PER_INCH, metadata={stamp: None})
    return made.getvalue()


@contextmanager
def styled() -> Iterator[None]:
    """A block in which figures have the project's style."""
    import matplotlib as mpl

    with mpl.rc_context({"backend": "agg", **_STYLE}):
        yield
