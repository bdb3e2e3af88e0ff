r"""Tables in LaTeX with booktabs: one file that compiles by itself and can be `\input` into a paper as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from deo_bench.reports.grid import HOLE, Grid, Line, Slot
from deo_bench.reports.latex_text import breakable, escape, width
from deo_bench.reports.section import Section, Sectioned
from deo_bench.reports.wording import UNRESOLVED

__all__ = ["escape", "latex"]

_START = r"""% Compiles by itself. In a paper: \usepackage{booktabs,graphicx} and \input this file.
\makeatletter
\ifx\documentclass\@twoclasseserror\def\deobenchend{}\else
\documentclass[10pt]{article}
\usepackage[a4paper,margin=20mm]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
\def\deobenchend{\end{document}}
\fi
\makeatother
\providecommand{\toprule}{\hline}\providecommand{\midrule}{\hline}\providecommand{\bottomrule}{\hline}
\ifdefined\extrafloats\extrafloats{NUMBER}\fi\maxdeadcycles=1000
\ifdefined\deobenchbox\else\newsavebox{\deobenchbox}\fi
\providecommand{\deobenchfit}[1]{}
\renewcommand{\deobenchfit}[1]{\sbox{\deobenchbox}{#1}%
  \ifdim\wd\deobenchbox>\textwidth\ifdefined\resizebox\resizebox{\textwidth}{!}{\usebox{\deobenchbox}}%
  \else\usebox{\deobenchbox}\fi\else\usebox{\deobenchbox}\fi}
"""
# \documentclass means "two of them" once a paper has had its own: then this is no document but a part of one.
# A page that is narrower than this file's own gets its tables smaller, not cut off.

ACROSS = 110.0
"""Digits of \footnotesize beside one another in 170 mm, a few to spare."""
_GAP = 1.9
_LABEL = 36.0
"""Digits that a label may take before it is broken."""
_OPEN = r"\textsuperscript{\ensuremath{\circ}}"
"""Of what is unresolved, as the open dots of the figures; the word in every cell would take half the table."""
DOWN = 42
"""Lines of a table on one page, with its caption and notes."""


def latex(report: Sectioned) -> str:
    """Every table as a `table*` environment; one that does not fit a page is several."""
    parts = [_draw(part, lead) for section in report.sections for part, lead in _parts(section)]
    return _START.replace("NUMBER", str(len(parts) + 20)) + "\n" + "\n".join(parts) + "\n\\deobenchend\n"


def _parts(section: Section) -> Iterator[tuple[Grid, str]]:
    """Tables that fit a page, with what their captions begin with."""
    for grid in section.grids:
        # a caption of scores says all that its section's title does
        lead = grid.title or ("" if grid.name == "scores" else section.title)
        cuts = [(places, blocks) for blocks in _down(grid) for places in _across(grid)]
        for number, (places, blocks) in enumerate(cuts, 1):
            part = _cut(grid, places, blocks)
            of_many = "" if len(cuts) == 1 else f"Part {number} of {len(cuts)}"
            yield part, ". ".join(words for words in (lead, of_many) if words)


def _across(grid: Grid) -> list[range]:
    """Columns that fit beside the labels, spread evenly over as few tables as will do."""
    left = min(max([width(line.label) for line in grid.lines], default=0), _LABEL) + (6 if grid.has_runs else 0)
    widths = []
    for place, heading in enumerate(grid.headings):
        texts = [*heading.lines, *(_shown(line.slots[place]) for line in grid.lines)]
        widths.append(max(width(text) for text in texts) + _GAP)
    if sum(widths) <= ACROSS - left:
        return [range(len(widths))]
    fitting = max(int((ACROSS - left) // max(widths, default=1)), 1)
    count = -(-len(widths) // fitting)
    edges = [round(cut * len(widths) / count) for cut in range(count + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]


def _down(grid: Grid) -> list[list[tuple[str, tuple[Line, ...]]]]:
    """Blocks of lines that fit a page, spread evenly over as few tables as will do."""
    total = sum(map(_height, grid.lines))
    most = -(-total // max(-(-total // DOWN), 1))
    made: list[list[tuple[str, tuple[Line, ...]]]] = [[]]
    room = most
    for name, lines in grid.blocks:
        kept: list[Line] = []
        for line in lines:
            if _height(line) > room and room < most:
                made[-1] += [(name, tuple(kept))] if kept else []
                made.append([])
                kept, room = [], most
            kept.append(line)
            room -= _height(line)
        made[-1].append((name, tuple(kept)))
    return made


def _height(line: Line) -> int:
    """Lines of type that a row takes, with its label broken."""
    return max(-(-int(width(line.label)) // int(_LABEL - 3)), 1)


def _cut(grid: Grid, places: range, blocks: Sequence[tuple[str, tuple[Line, ...]]]) -> Grid:
    """Some of a table; its notes stay whole, and those that it does not use are left out when it is drawn."""
    cut = tuple(
        (name, tuple(Line(x.label, x.runs, tuple(x.slots[i] for i in places), x.notes) for x in lines))
        for name, lines in blocks
    )
    headings = tuple(grid.headings[i] for i in places)
    return Grid(grid.name, grid.title, grid.caption, headings, cut, grid.footnotes, grid.corner, grid.daggers)


def _draw(grid: Grid, lead: str) -> str:
    count, runs = len(grid.headings), grid.has_runs
    heads = [
        _row([escape(grid.corner), *[""] * runs, *[escape(h.task) for h in grid.headings]]),
        _row(["", *[""] * runs, *[escape(h.where) for h in grid.headings]]),
        _row(["", *["runs"] * runs, *[escape(h.metric) for h in grid.headings]]),
        _row(["", *[""] * runs, *[escape(h.remark) for h in grid.headings]]),
        _row(["", *[""] * runs, *[escape(h.size) for h in grid.headings]]),
    ]
    heads = [heads[0], *[head for head in heads[1:] if set(head) - set(" &\\")]]
    wide = max([width(line.label) for line in grid.lines], default=0) > _LABEL
    body: list[str] = []
    for place, (name, lines) in enumerate(grid.blocks):
        body += [r"\midrule"] if place else []
        body += [rf"\multicolumn{{{count + 1 + runs}}}{{@{{}}l}}{{\textit{{{escape(name)}}}}} \\"] if name else []
        body += [_line(line, runs, wide) for line in lines]
    used = {mark for line in grid.lines for slot in line.slots for mark in slot.marks}
    used |= {str(note) for line in grid.lines for note in line.notes}
    notes = [
        rf"\par{_superscript([mark])} {breakable(note.removesuffix('.'))}." for mark, note in grid.told if mark in used
    ]
    if any(slot.is_unresolved for line in grid.lines for slot in line.slots):
        notes.append(rf"\par{_OPEN} {UNRESOLVED}.")
    shape = rf"{{@{{}}l{'r' * (count + runs)}@{{}}}}"
    caption = f"{escape(lead)}. {escape(grid.caption)}" if lead else escape(grid.caption)
    return "\n".join([
        r"\begin{table*}[htbp]", r"\centering\footnotesize", rf"\caption{{{caption}}}",
        r"\smallskip\setlength{\tabcolsep}{4pt}", rf"\deobenchfit{{\begin{{tabular}}{shape}", r"\toprule",
        *heads, r"\midrule", *body, r"\bottomrule", r"\end{tabular}}",
        *([r"\par\smallskip\begin{minipage}{\textwidth}\footnotesize\raggedright", *notes, r"\end{minipage}"]
          if notes else []),
        r"\end{table*}", "",
    ])  # fmt: skip


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _line(line: Line, has_runs: bool, is_wide: bool) -> str:
    runs = ["" if line.runs is None else str(line.runs)] if has_runs else []
    marks = _superscript([str(note) for note in line.notes])
    label = breakable(line.label) + marks if is_wide else escape(line.label) + marks
    if is_wide:
        label = rf"\parbox[t]{{{_LABEL / ACROSS:.2f}\textwidth}}{{\raggedright\hangindent=1em {label}\strut}}"
    return _row([label, *runs, *map(_slot, line.slots)])


def _shown(slot: Slot) -> str:
    """About what a slot will be as wide as."""
    return slot.text + "," * (len(slot.marks) + slot.is_unresolved)


def _slot(slot: Slot) -> str:
    text = "--" if slot.text == HOLE else re.sub(r"(?<![\w.)])-(?=\d)", "−", slot.text)
    text = escape(text) if slot.text != HOLE else text
    text = rf"\textbf{{{text}}}" if slot.is_best else rf"\underline{{{text}}}" if slot.is_second else text
    return text + _superscript(slot.marks) + (_OPEN if slot.is_unresolved else "")


def _superscript(marks: Sequence[str]) -> str:
    return rf"\textsuperscript{{{','.join(map(escape, marks))}}}" if marks else ""
