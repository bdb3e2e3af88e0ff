r"""Tables in LaTeX with booktabs: one file that compiles by itself and can be `\input` into a paper as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deo_bench.reports.grid import HOLE, Grid, Line, Slot
from deo_bench.reports.section import Sectioned
from deo_bench.reports.wording import UNRESOLVED

_START = r"""% Compiles by itself; in a paper, \usepackage{booktabs} and \input this file.
\makeatletter
\ifx\documentclass\@twoclasseserror\def\deobenchend{}\else
\documentclass[10pt]{article}
\usepackage[a4paper,margin=20mm]{geometry}
\usepackage{booktabs}
\begin{document}
\def\deobenchend{\end{document}}
\fi
\makeatother
"""
# \documentclass means "two of them" once a paper has had its own: then this is no document but a part of one

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "<": r"$<$", ">": r"$>$",
    "→": r"$\to$", "×": r"$\times$", "|": r"$|$", '"': "''",
}  # fmt: skip


SIZES = (r"\small", r"\small", r"\small", r"\small", r"\footnotesize", r"\footnotesize", r"\scriptsize")
"""The size of type by the number of columns, so that a table fits the width of a page."""


def latex(report: Sectioned) -> str:
    """Every table as a `table` environment."""
    parts = [_draw(grid) for section in report.sections for grid in section.grids]
    return _START + "\n" + "\n".join(parts) + "\n\\deobenchend\n"


def _draw(grid: Grid) -> str:
    count, runs = len(grid.headings), grid.has_runs
    heads = [
        _row([escape(grid.corner), *[""] * runs, *[escape(h.task) for h in grid.headings]]),
        _row(["", *["runs"] * runs, *[escape(h.metric) for h in grid.headings]]),
        _row(["", *[""] * runs, *[_small(escape(h.size)) for h in grid.headings]]),
    ]
    heads = [heads[0], *[head for head in heads[1:] if set(head) - set(" &\\")]]
    body: list[str] = []
    for place, (name, lines) in enumerate(grid.blocks):
        body += [r"\midrule"] if place else []
        body += [rf"\multicolumn{{{count + 1 + runs}}}{{@{{}}l}}{{\textit{{{escape(name)}}}}} \\"] if name else []
        body += [_line(line, runs) for line in lines]
    notes = [rf"\par\textsuperscript{{{i}}} {escape(note)}." for i, note in enumerate(grid.footnotes, 1)]
    shape = rf"{{@{{}}l{'r' * (count + runs)}@{{}}}}"
    return "\n".join([
        r"\begin{table}[htbp]", rf"\centering{SIZES[min(count, 6)]}", rf"\caption{{{escape(grid.caption)}}}",
        r"\smallskip\setlength{\tabcolsep}{4pt}", rf"\begin{{tabular}}{shape}", r"\toprule",
        *heads, r"\midrule", *body, r"\bottomrule", r"\end{tabular}",
        *([r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}"] if notes else []),
        r"\end{table}", "",
    ])  # fmt: skip


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _line(line: Line, has_runs: bool) -> str:
    runs = ["" if line.runs is None else str(line.runs)] if has_runs else []
    return _row([escape(line.label) + _superscript(line.notes), *runs, *map(_slot, line.slots)])


def _slot(slot: Slot) -> str:
    text = "--" if slot.text == HOLE else re.sub(r"-(?=\d)", "$-$", slot.text).replace("±", r"$\pm$")
    text = rf"\textbf{{{text}}}" if slot.is_best else rf"\underline{{{text}}}" if slot.is_second else text
    unresolved = _small(rf" \textit{{{UNRESOLVED}}}") if slot.is_unresolved else ""
    return text + _superscript(slot.notes) + unresolved


def _small(text: str) -> str:
    return rf"{{\footnotesize {text}}}" if text else ""


def _superscript(notes: Sequence[int]) -> str:
    return rf"\textsuperscript{{{','.join(map(str, notes))}}}" if notes else ""


def escape(text: str) -> str:
    """Plain text as LaTeX."""
    return "".join(_SPECIAL.get(character, character) for character in text)
