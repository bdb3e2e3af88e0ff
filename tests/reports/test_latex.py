"""LaTeX: any text compiles, alone and in a paper of another preamble, and every table fits its page."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deo_bench.reports.entries import Seen
from deo_bench.reports.grid import Grid, Heading, Line, Slot
from deo_bench.reports.latex_text import breakable, escape, width
from deo_bench.reports.render_latex import DOWN, latex
from deo_bench.reports.section import Section
from deo_bench.reports.table import Table
from tests.reports.test_renders import column, made, report, reported

needs_latex = pytest.mark.skipif(
    not (shutil.which("pdflatex") and shutil.which("pdftotext")),
    reason="needs pdflatex and pdftotext (texlive-latex-base, texlive-latex-recommended, poppler-utils)",
)
HOSTILE = (
    r"\end{document} \input{x} %& $x^2_1$ #1 {} ~^ \\ | < > \" ` ' -- --- ?` !` [2ex] * é µ × ≥ → ± ² ½ ß Å ł ő "
    "Ωμέγα 中文 العربية 🛰️ 👩‍🔬 \u200b\u0301\u202e\t\n\x07 ﬁ ffi “quoted” d'été"
)
PAPER = r"""
\documentclass[twocolumn]{article}
\usepackage[T1]{fontenc}\usepackage{hyperref}
PACKAGES
\begin{document}
\section{Before}\input{table}
\section{After}The paper goes on after its tables.
\end{document}
"""


class Sections:
    """Tables that are no report's."""

    def __init__(self, *grids: Grid) -> None:
        self.sections = (Section("A kind of table", grids),)
        self.problems: list[str] = []


def grid(labels: Sequence[str], columns: int = 2, **said: str) -> Grid:
    lines = tuple(Line(label, 3, (Slot("54.1 ±1.3"),) * columns) for label in labels)
    headings = tuple(Heading(f"m-bigearthnet {place}", "micro-mAP", "n = 1,000") for place in range(columns))
    return Grid("any", said.get("title", ""), said.get("caption", "Said."), headings, (("", lines),))


def compiled(folder: Path, name: str) -> str:
    """What pdflatex says of a file; it has to end well."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", f"{name}.tex"]
    told = subprocess.run(command, cwd=folder, capture_output=True, timeout=240)
    said = told.stdout.decode("latin-1")
    assert told.returncode == 0, said[-3000:]
    return said


def text_of(path: Path) -> str:
    return subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True).stdout


def everything() -> list[Table]:
    """Tables with all that there is: hostile words, daggers, best and second, holes, groups, and more than fits."""
    table = made()[0]
    marked = [
        replace(cell, seen=(Seen("†", f"teacher {HOSTILE} was trained on EuroSAT"), Seen("‡", "pre-trained on it")))
        for cell in table.rows[1].cells
    ]
    rows = (
        replace(table.rows[0], label=HOSTILE, notes=(HOSTILE,)),
        replace(table.rows[1], cells=(replace(marked[0], is_best=True), replace(marked[1], is_second=True))),
        *table.rows[2:],
    )
    hostile = replace(table, rows=rows, protocol=HOSTILE, experiment=HOSTILE)
    wide = tuple(replace(column(f"m-bigearthnet-{place:02}"), bands=("s2_10", "rgb")[place % 2]) for place in range(24))
    cells = tuple(row.cells[0] for row in table.rows)
    label = "teachers.optical.use=dinov3_vitb16, objective.optical_maps.on=early+mid+late, weight="
    tall = tuple(
        replace(table.rows[0], label=f"{label}{place}", cells=(cells[0],) * 24, group=f"weight = {place // 30}")
        for place in range(2 * DOWN)
    )
    return [hostile, replace(table, columns=wide, rows=tall)]


@needs_latex
@pytest.mark.system
def test_every_kind_of_table_compiles_alone_and_fits_the_page(tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(latex(reported([*everything(), *made()])), encoding="ascii")
    said = compiled(tmp_path, "table")
    assert not re.findall(r"Overfull \\hbox \(\d{2,}\.|Float too large|Missing character", said)
    text = text_of(tmp_path / "table.pdf")
    assert "U+4E2D" in text and "unresolved" in text and "m-bigearthnet-23" in text


@needs_latex
@pytest.mark.system
@pytest.mark.parametrize("packages", [r"\usepackage{booktabs,graphicx}", r"\usepackage[ngerman]{babel}", ""])
def test_tables_go_into_a_paper_of_two_columns(tmp_path: Path, packages: str) -> None:
    if (
        packages
        and not subprocess.run(["kpsewhich", "ngerman.ldf"], capture_output=True).stdout
        and "babel" in packages
    ):
        pytest.skip("needs babel's German (texlive-lang-german)")
    (tmp_path / "table.tex").write_text(latex(reported(everything())), encoding="ascii")
    (tmp_path / "paper.tex").write_text(PAPER.replace("PACKAGES", packages))
    compiled(tmp_path, "paper")
    assert "The paper goes on after" in " ".join(text_of(tmp_path / "paper.pdf").split())


@needs_latex
@pytest.mark.system
def test_any_label_compiles(tmp_path: Path) -> None:
    drawn: list[str] = []

    @settings(max_examples=400, database=None, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
    @given(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
        | st.text(r"\{}$&#_%~^[]-`'\"<>|@ a", max_size=20)
    )
    def draw(text: str) -> None:
        drawn.append(text)

    draw()
    lines = "\n\n".join(f"a{way(text)}b\\\\[1ex]" for text in drawn for way in (escape, breakable))
    head = r"\documentclass{article}\begin{document}\raggedright"
    (tmp_path / "labels.tex").write_text(f"{head}\n{lines}\n\\end{{document}}", encoding="ascii")
    (tmp_path / "table.tex").write_text(
        latex(Sections(grid(drawn), grid(drawn[:9], title=drawn[-1]))), encoding="ascii"
    )
    for name in ("labels", "table"):
        assert "Missing character" not in compiled(tmp_path, name)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_what_is_escaped_is_one_line_of_ascii_with_its_braces_closed(text: str) -> None:
    for made_of in (escape(text), breakable(text)):
        assert made_of.isascii() and "\n" not in made_of
        bare = re.sub(r"\\[{}\\]", "", made_of)
        depth = 0
        for one in bare:
            depth += (one == "{") - (one == "}")
            assert depth >= 0
        assert depth == 0
        assert not re.search(r"(?<!\\)[%&#$_^]", made_of.replace(r"\^{", "").replace(r"\ensuremath{^\circ}", ""))
    assert width(text) >= 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a_b & 50% {x}", r"a\_b \& 50\% \{x\}"),
        (r"~^\ ", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("é µ × ≥ →", r"\'{e} \ensuremath{\mu} \ensuremath{\times} \ensuremath{\geq} \ensuremath{\to}"),
        ("a--b", "a-{}-b"),
        ("against 'x, y' ('z'), the student's", "against {`}x, y{'} ({`}z{'}), the student{'}s"),
        ("½ ﬁ x² H₂O", r"1/2 fi x\textsuperscript{2} H\textsubscript{2}O"),
        ("🛰️ 中", r"{[}U+1F6F0{]}\allowbreak{} {[}U+4E2D{]}\allowbreak{}"),
        ("a\nb\x07", "a b"),
    ],
)
def test_text_to_the_letter(text: str, wanted: str) -> None:
    assert escape(text) == wanted


def test_what_does_not_fit_a_page_is_several_tables_with_all_that_was_there() -> None:
    text = latex(Sections(grid([f"row{place}" for place in range(2 * DOWN + 1)], columns=20)))
    tables = text.split(r"\begin{table*}")[1:]
    assert len(tables) == len(re.findall(r"Part \d+ of \d+\.", text)) and len(tables) % 3 == 0
    assert all(table.count("row") <= DOWN for table in tables)
    for place in range(20):
        assert text.count(f"m-bigearthnet {place} ") == 3, "once for each cut of the rows"
    assert all(len(re.findall(rf"row{place} ", text)) == len(tables) // 3 for place in range(2 * DOWN + 1))


def test_notes_stand_under_the_part_that_uses_them() -> None:
    wide = grid(["a"], columns=20)
    slots = tuple(replace(slot, notes=(1,) if place == 19 else ()) for place, slot in enumerate(wide.lines[0].slots))
    lines = (replace(wide.lines[0], slots=slots),)
    first, *_, last = latex(Sections(replace(wide, blocks=(("", lines),), footnotes=("Odd.",)))).split(
        r"\begin{table*}"
    )[1:]
    assert "Odd" not in first and r"\textsuperscript{1} Odd." in last


def test_a_report_of_tables_is_ascii() -> None:
    assert latex(report()).isascii()
