"""One self-contained page: the question, the tables, the figures and how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deo_bench import __version__
from deo_bench.reports.figure import View, draw
from deo_bench.reports.grid import Grid, grids
from deo_bench.reports.resample import RESAMPLES
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.table import ABOVE_STUDENTS, Table, Tables
from deo_bench.reports.wording import UNRESOLVED, title

_TEMPLATE = Path(__file__).parent / "templates" / "page.html"


@dataclass(frozen=True)
class Section:
    """One probe's answer on the page: its tables, each with its figure where one is drawn."""

    title: str
    parts: tuple[tuple[Grid, str], ...]


def page(spec: ReportSpec, made: Tables, first: Sequence[Table]) -> str:
    """The page as HTML; figures are drawn for the tables in `first`, the others are folded away."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        spec=spec,
        shown=[_section(table, True) for table in first],
        folded=[_section(table, False) for table in made.tables if table not in first],
        above=_above_students(first),
        problems=made.problems,
        num_scores=len(made.scores),
        experiment=next((table.experiment for table in made.tables), ""),
        resamples=RESAMPLES,
        version=__version__,
        unresolved=UNRESOLVED,
    )


def _section(table: Table, with_figures: bool) -> Section:
    views: tuple[View, ...] = ("scores", "differences")
    parts = [(grid, _svg(table, view) if with_figures else "") for grid, view in zip(grids(table), views, strict=False)]
    return Section(title(table), tuple(parts))


def _svg(table: Table, view: View) -> str:
    """A figure as an element of the page, without the prolog of a file."""
    drawn = draw(table, view, "svg")
    if drawn is None:
        return ""
    text = drawn.decode()
    return text[text.index("<svg") :]


def _above_students(tables: Sequence[Table]) -> list[str]:
    """What stands above every student, in words."""
    return [
        f"{row.label}: {column.task} ({table.probe}, {table.bands})"
        for table in tables
        for row in table.rows
        for cell, column in zip(row.cells, table.columns, strict=True)
        if ABOVE_STUDENTS in cell.notes
    ]
