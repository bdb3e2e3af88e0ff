"""A report in files: tables, page, figures, and the tidy scores that anybody can make them from again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from deo_bench.files import write_bytes
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.figure import View, draw
from deo_bench.reports.frame import read_scores
from deo_bench.reports.page import page
from deo_bench.reports.render_csv import comma_separated
from deo_bench.reports.render_latex import latex
from deo_bench.reports.render_markdown import markdown
from deo_bench.reports.render_terminal import first_probes
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.table import Table, Tables, build_tables

_VIEWS: tuple[View, ...] = ("scores", "differences")


def make_tables(spec: ReportSpec, entries: Sequence[Entry], scope: Scope, store: Path) -> Tables:
    """The tables of a report from what is in a store."""
    problems: list[str] = []
    made = build_tables(read_scores(store, problems), entries, spec.narrow(scope), spec.baseline, spec.sort)
    made.problems = [*problems, *made.problems]
    return made


def render(spec: ReportSpec, made: Tables) -> dict[str, bytes]:
    """Every file of a report by name. The same scores give the same bytes: no time or host is in them."""
    files: dict[str, str | bytes] = {"scores.csv": _scores(made)}
    first = first_probes(made.tables)
    if "markdown" in spec.formats:
        heading = f"# {spec.title}\n\n" if spec.title else ""
        files["table.md"] = heading + (f"{spec.question}\n\n" if spec.question else "") + markdown(made)
    if "latex" in spec.formats:
        files["table.tex"] = latex(made)
    if "csv" in spec.formats:
        files["table.csv"] = comma_separated(made)
    if "html" in spec.formats:
        files["index.html"] = page(spec, made, first)
    for form in ("png", "pdf"):
        if form in spec.formats:
            for table in first:
                for view in _VIEWS:
                    drawn = draw(table, view, form)
                    if drawn is not None:
                        files[f"{_figure_name(table, view, first)}.{form}"] = drawn
    return {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}


def write_report(spec: ReportSpec, made: Tables, out: Path) -> list[Path]:
    """Write every file of a report into a folder; the paths, in order."""
    paths = []
    for name, content in render(spec, made).items():
        write_bytes(out / name, content)
        paths.append(out / name)
    return paths


def stale_files(spec: ReportSpec, made: Tables, out: Path) -> list[Path]:
    """Files of a report that are missing or differ from what would be written."""
    expected = {out / name: content for name, content in render(spec, made).items()}
    return [path for path, content in expected.items() if not path.is_file() or path.read_bytes() != content]


def _scores(made: Tables) -> str:
    """The scores behind the tables; the predictions' path is left out, which is another on every machine."""
    table = made.scores.drop(columns=["path"])
    table["chosen"] = [json.dumps(chosen, sort_keys=True) for chosen in table["chosen"]]
    text: str = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    return text


def _figure_name(table: Table, view: View, among: Sequence[Table]) -> str:
    """`scores`, or with what tells a table from the others: `scores-rgb`."""
    parts: list[str] = [view]
    for name in ("protocol", "bands", "weights"):
        if len({getattr(other, name) for other in among}) > 1:
            parts.append(getattr(table, name))
    return "-".join(parts)
