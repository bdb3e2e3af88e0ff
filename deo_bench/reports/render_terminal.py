"""Tables for a terminal, cut to its width."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from deo_bench.reports.grid import Grid, Line, Slot
from deo_bench.reports.section import Sectioned

_SUPERSCRIPTS = str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹ ")


def terminal(report: Sectioned, show_all: bool = False, width: int = 100, short: Sequence[str] = ()) -> RenderableType:
    """The tables as something rich can print; without `show_all` only of the sections that are always shown.

    A table wider than `width` columns is cut into several, some tasks each. short: sentences that end it all, where
    they are seen without scrolling.
    """
    parts: list[RenderableType] = []
    for section in report.sections:
        if show_all or section.shown == "always":
            parts += [part for grid in section.grids for part in (_draw(grid, width, section.title), Text())]
    hidden = [section.title for section in report.sections if section.shown != "always" and section.grids]
    if hidden and not show_all:
        parts.append(Text(f"Also there: {'; '.join(hidden)} (--all shows them).", style="dim"))
    parts += [Text(f"Look at: {problem}", style="yellow") for problem in report.problems]
    parts += [Text(sentence, style="bold") for sentence in short]
    return Group(*parts)


def _draw(grid: Grid, width: int, title: str) -> RenderableType:
    notes = [Text(f"{_superscript((mark,))} {note}") for mark, note in grid.told]
    tables = [_table(grid, places, width) for places in _cuts(grid, width)]
    heading = Text(": ".join(part for part in (title, grid.title) if part), style="bold")
    return Group(heading, *tables, *notes, *([Text(grid.caption, style="dim")] if grid.caption else []))


def _table(grid: Grid, places: Sequence[int], width: int) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    drawn.add_column(grid.corner, max_width=_widest_label(width), overflow="fold")
    if grid.has_runs:
        drawn.add_column("runs", justify="right", style="dim", no_wrap=True)
    for heading in (grid.headings[place] for place in places):
        drawn.add_column(Text("\n".join(heading.lines)), justify="right", no_wrap=True)
    for block, (name, lines) in enumerate(grid.blocks):
        if block:
            drawn.add_section()
        if name:
            drawn.add_row(Text(name, style="italic dim"))
        for line in lines:
            drawn.add_row(*_line(line, places, grid.has_runs))
    return drawn


def _cuts(grid: Grid, width: int) -> list[range]:
    """Columns that fit beside the labels, spread evenly over as few tables as will do."""
    lines = grid.lines
    labels = [grid.corner, *(name for name, _ in grid.blocks), *(_label(line).plain for line in lines)]
    left = min(max(map(cell_len, labels)), _widest_label(width)) + 2 + (6 if grid.has_runs else 0)
    widths = []
    for place, heading in enumerate(grid.headings):
        texts = [*heading.lines, *[_slot(line.slots[place]).plain for line in lines]]
        widths.append(max(cell_len(part) for text in texts for part in text.split("\n")) + 2)
    fitting = max((width - left) // max(widths, default=1), 1)
    if sum(widths) <= width - left:
        return [range(len(widths))]
    count = -(-len(widths) // fitting)
    edges = [round(cut * len(widths) / count) for cut in range(count + 1)] if count else [0]
    return [range(start, stop) for start, stop in pairwise(edges)]


def _widest_label(width: int) -> int:
    """Columns that a label may take before it is broken: the numbers need the others."""
    return max(width * 3 // 8, 20)


def _line(line: Line, places: Sequence[int], has_runs: bool) -> list[Text]:
    slots = [_slot(line.slots[place]) for place in places]
    runs = [Text("" if line.runs is None else str(line.runs))] if has_runs else []
    return [_label(line), *runs, *slots]


def _label(line: Line) -> Text:
    return Text(line.label + _superscript([str(note) for note in line.notes]))


def _slot(slot: Slot) -> Text:
    text = Text(slot.text, style="bold" if slot.is_best else "underline" if slot.is_second else "")
    text.append(_superscript(slot.marks), style="not bold not underline")
    if slot.is_unresolved:
        text.append(f"\n{slot.remark}", style="italic dim")
    return text


def _superscript(marks: Sequence[str]) -> str:
    return " " + ",".join(marks).translate(_SUPERSCRIPTS) if marks else ""
