"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from deo_bench.reports.grid import Grid, Line, Slot, grids
from deo_bench.reports.table import Tables
from deo_bench.reports.wording import UNRESOLVED


def markdown(made: Tables) -> str:
    """Every table, then what could not be used."""
    parts = [_draw(grid) for table in made.tables for grid in grids(table)]
    if made.problems:
        parts.append("**Look at:**\n\n" + "\n".join(f"- {_escape(problem)}" for problem in made.problems))
    return "\n\n".join(parts) + "\n"


def _draw(grid: Grid) -> str:
    heads = [f"{_escape(h.task)}<br>{h.metric}<br>{h.size}".removesuffix("<br>") for h in grid.headings]
    lines = [_row(["", "runs", *heads]), _row(["---", *["---:"] * (len(heads) + 1)])]
    for name, block in grid.blocks:
        if name:
            lines.append(_row([f"*{name}*", *[""] * (len(heads) + 1)]))
        lines += [_line(line) for line in block]
    parts = [f"### {_escape(grid.title)}", "\n".join(lines)]
    if grid.footnotes:
        parts.append("<br>\n".join(f"<sup>{i}</sup> {_escape(note)}" for i, note in enumerate(grid.footnotes, 1)))
    return "\n\n".join([*parts, f"*{_escape(grid.caption)}*"])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(line: Line) -> str:
    return _row([_escape(line.label) + _superscript(line.notes), str(line.runs), *map(_slot, line.slots)])


def _slot(slot: Slot) -> str:
    text = f"**{slot.text}**" if slot.is_best else slot.text
    unresolved = f" *{UNRESOLVED}*" if slot.is_unresolved else ""
    return text + _superscript(slot.notes) + unresolved


def _superscript(notes: Sequence[int]) -> str:
    return f"<sup>{','.join(map(str, notes))}</sup>" if notes else ""


def _escape(text: str) -> str:
    for character in "\\|*_<>":
        text = text.replace(character, f"\\{character}")
    return text
