"""A part of a report: a heading with tables and figures under it, which every format draws in its own way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from deo_bench.reports.grid import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shown = Literal["always", "page", "folded"]
"""`always`: in the terminal too; `page`: in files, in the terminal with --all; `folded`: the page folds it away."""


@dataclass(frozen=True)
class Drawing:
    """A figure. name: its file's stem, its own in the report; draw: makes it, called inside the figures' style."""

    name: str
    draw: Callable[[], Figure]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, a few sentences, then tables and figures in order; texts: what is there to be pasted, in files."""

    title: str
    parts: tuple[Grid | Drawing, ...]
    notes: tuple[str, ...] = ()
    shown: Shown = "always"
    texts: tuple[str, ...] = ()

    @property
    def grids(self) -> list[Grid]:
        """The tables."""
        return [part for part in self.parts if isinstance(part, Grid)]

    @property
    def drawings(self) -> list[Drawing]:
        """The figures."""
        return [part for part in self.parts if isinstance(part, Drawing)]


class Sectioned(Protocol):
    """What tables are drawn of, in every format: a report, or whatever else has sections."""

    @property
    def sections(self) -> tuple[Section, ...]:
        """In order."""

    @property
    def problems(self) -> list[str]:
        """What could not be used, a line each."""
