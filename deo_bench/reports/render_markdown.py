"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from deo_bench.reports.grid import Grid, Line, Slot
from deo_bench.reports.section import Drawing, Section, Sectioned

_MARKED = re.compile(r"[\\`|*_<>~]|&(?=#?\w+;)|\[(?=[^\]]*\]\()")
"""What Markdown reads: an ampersand only in an entity, a bracket only in a link, as intervals stand in brackets."""


def markdown(report: Sectioned, has_figures: bool = False) -> str:
    """Every section, then what could not be used; with links to the figures where their PNG files stand beside it."""
    parts = [text for section in report.sections for text in _section(section, has_figures)]
    if report.problems:
        parts.append("**Look at:**\n\n" + "\n".join(f"- {escape(problem)}" for problem in report.problems))
    return "\n\n".join(parts) + "\n"


def _section(section: Section, has_figures: bool) -> list[str]:
    parts = [_figure(part) if isinstance(part, Drawing) else _draw(part) for part in section.parts]
    told = [text for part, text in zip(section.parts, parts, strict=True) if has_figures or isinstance(part, Grid)]
    if not told and not section.notes:
        return []
    return [f"## {escape(section.title)}", *map(escape, section.notes), *told, *map(_fenced, section.texts)]


def _fenced(text: str) -> str:
    """A text as it is, in a fence that is longer than any in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}toml\n{text}{fence}"


def _figure(drawing: Drawing) -> str:
    caption = [f"*{escape(drawing.caption)}*"] if drawing.caption else []
    return "\n\n".join([f"![{escape(drawing.caption or drawing.name)}]({quote(drawing.name)}.png)", *caption])


def _draw(grid: Grid) -> str:
    heads = ["<br>".join(map(escape, heading.lines)) for heading in grid.headings]
    first = [escape(grid.corner), *(["runs"] if grid.has_runs else [])]
    width = len(heads) + len(first) - 1
    lines = [_row([*first, *heads]), _row(["---", *["---:"] * width])]
    for name, block in grid.blocks:
        if name:
            lines.append(_row([f"*{escape(name)}*", *[""] * width]))
        lines += [_line(line, grid.has_runs) for line in block]
    parts = [f"### {escape(grid.title)}"] if grid.title else []
    parts.append("\n".join(lines))
    if grid.told:
        parts.append("<br>\n".join(f"<sup>{mark}</sup> {escape(note)}" for mark, note in grid.told))
    return "\n\n".join([*parts, *([f"*{escape(grid.caption)}*"] if grid.caption else [])])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(line: Line, has_runs: bool) -> str:
    runs = ["" if line.runs is None else str(line.runs)] if has_runs else []
    return _row([escape(line.label) + _superscript([str(note) for note in line.notes]), *runs, *map(_slot, line.slots)])


def _slot(slot: Slot) -> str:
    text = escape(slot.text)
    text = f"**{text}**" if slot.is_best else f"<u>{text}</u>" if slot.is_second else text
    unresolved = f" *{slot.remark}*" if slot.is_unresolved else ""
    return text + _superscript(slot.marks) + unresolved


def _superscript(marks: Sequence[str]) -> str:
    return f"<sup>{','.join(marks)}</sup>" if marks else ""


def escape(text: str) -> str:
    """Plain text as Markdown, on one line: a break would end a row of a table."""
    return _MARKED.sub(r"\\\g<0>", " ".join(text.split()))
