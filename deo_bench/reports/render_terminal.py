"""Tables for a terminal of about 100 columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from deo_bench.reports.grid import Grid, Line, Slot, grids
from deo_bench.reports.table import Table, Tables
from deo_bench.reports.wording import UNRESOLVED

_SUPERSCRIPTS = str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹ ")


def terminal(made: Tables, show_all: bool = False, width: int = 100) -> RenderableType:
    """The tables as something rich can print; without `show_all` only the first probe of each protocol.

    A table wider than `width` columns is cut into several, some tasks each.
    """
    shown = made.tables if show_all else first_probes(made.tables)
    drawn = [grid for table in shown for grid in grids(table)]
    parts: list[RenderableType] = [part for grid in drawn for part in (_draw(grid, width), Text())]
    hidden = [table for table in made.tables if table not in shown]
    if hidden:
        probes = ", ".join(dict.fromkeys(table.probe for table in hidden))
        parts.append(Text(f"Also there: {probes} (--all shows them).", style="dim"))
    parts += [Text(f"Look at: {problem}", style="yellow") for problem in made.problems]
    return Group(*parts)


def first_probes(tables: Sequence[Table]) -> list[Table]:
    """The tables of each protocol's first probe."""
    first: dict[str, str] = {}
    for table in tables:
        first.setdefault(table.protocol, table.probe)
    return [table for table in tables if first[table.protocol] == table.probe]


def _draw(grid: Grid, width: int) -> RenderableType:
    notes = [Text(f"{_superscript((number,))} {note}") for number, note in enumerate(grid.footnotes, 1)]
    tables = [_table(grid, places) for places in _cuts(grid, width)]
    return Group(Text(grid.title, style="bold"), *tables, *notes, Text(grid.caption, style="dim"))


def _table(grid: Grid, places: Sequence[int]) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    drawn.add_column("", no_wrap=True)
    drawn.add_column("runs", justify="right", style="dim")
    for heading in (grid.headings[place] for place in places):
        drawn.add_column("\n".join([heading.task, heading.metric, heading.size]), justify="right", no_wrap=True)
    for block, (name, lines) in enumerate(grid.blocks):
        if block:
            drawn.add_section()
        if name:
            drawn.add_row(Text(name, style="italic dim"))
        for line in lines:
            drawn.add_row(*_line(line, places))
    return drawn


def _cuts(grid: Grid, width: int) -> list[range]:
    """Columns that fit beside the labels, spread evenly over as few tables as will do."""
    lines = [line for _, block in grid.blocks for line in block]
    left = max((cell_len(_line(line, ())[0].plain) for line in lines), default=0) + 8
    widths = []
    for place, heading in enumerate(grid.headings):
        texts = [heading.task, heading.metric, heading.size, *[_slot(line.slots[place]).plain for line in lines]]
        widths.append(max(cell_len(part) for text in texts for part in text.split("\n")) + 2)
    fitting = max((width - left) // max(widths, default=1), 1)
    count = -(-len(widths) // fitting)
    edges = [round(cut * len(widths) / count) for cut in range(count + 1)] if count else [0]
    return [range(start, stop) for start, stop in pairwise(edges)]


def _line(line: Line, places: Sequence[int]) -> list[Text]:
    slots = [_slot(line.slots[place]) for place in places]
    return [Text(line.label + _superscript(line.notes)), Text(str(line.runs)), *slots]


def _slot(slot: Slot) -> Text:
    text = Text(slot.text, style="bold" if slot.is_best else "")
    text.append(_superscript(slot.notes), style="not bold")
    if slot.is_unresolved:
        text.append(f"\n{UNRESOLVED}", style="italic dim")
    return text


def _superscript(notes: Sequence[int]) -> str:
    return " " + ",".join(map(str, notes)).translate(_SUPERSCRIPTS) if notes else ""
