"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from deo_bench.reports.grid import Grid, Line, Slot
from deo_bench.reports.section import Section, Sectioned
from deo_bench.reports.wording import UNRESOLVED


def markdown(report: Sectioned) -> str:
    """Every section, then what could not be used."""
    parts = [text for section in report.sections for text in _section(section)]
    if report.problems:
        parts.append("**Look at:**\n\n" + "\n".join(f"- {_escape(problem)}" for problem in report.problems))
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    if not section.grids and not section.notes:
        return []
    return [f"## {_escape(section.title)}", *map(_escape, section.notes), *map(_draw, section.grids)]


def _draw(grid: Grid) -> str:
    heads = ["<br>".join(part for part in (_escape(h.task), h.metric, h.size) if part) for h in grid.headings]
    first = [_escape(grid.corner), *(["runs"] if grid.has_runs else [])]
    width = len(heads) + len(first) - 1
    lines = [_row([*first, *heads]), _row(["---", *["---:"] * width])]
    for name, block in grid.blocks:
        if name:
            lines.append(_row([f"*{_escape(name)}*", *[""] * width]))
        lines += [_line(line, grid.has_runs) for line in block]
    parts = [f"### {_escape(grid.title)}"] if grid.title else []
    parts.append("\n".join(lines))
    if grid.footnotes:
        parts.append("<br>\n".join(f"<sup>{i}</sup> {_escape(note)}" for i, note in enumerate(grid.footnotes, 1)))
    return "\n\n".join([*parts, *([f"*{_escape(grid.caption)}*"] if grid.caption else [])])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(line: Line, has_runs: bool) -> str:
    runs = ["" if line.runs is None else str(line.runs)] if has_runs else []
    return _row([_escape(line.label) + _superscript(line.notes), *runs, *map(_slot, line.slots)])


def _slot(slot: Slot) -> str:
    text = f"**{slot.text}**" if slot.is_best else f"<u>{slot.text}</u>" if slot.is_second else slot.text
    unresolved = f" *{UNRESOLVED}*" if slot.is_unresolved else ""
    return text + _superscript(slot.notes) + unresolved


def _superscript(notes: Sequence[int]) -> str:
    return f"<sup>{','.join(map(str, notes))}</sup>" if notes else ""


def _escape(text: str) -> str:
    for character in "\\|*_<>":
        text = text.replace(character, f"\\{character}")
    return text
