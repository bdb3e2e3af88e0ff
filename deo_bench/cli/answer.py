"""Shows an experiment's answer, its table, and writes its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from deo_bench.errors import UserError, nearest

if TYPE_CHECKING:
    from deo_bench.experiments.plan import Plan
    from deo_bench.reports.spec import ReportSpec

FORMATS = ("rich", "markdown", "latex", "csv")


def check_format(name: str) -> None:
    """Refuse a format that does not exist before anything is trained for it."""
    if name not in FORMATS:
        raise UserError(f"--format {name!r} is none{nearest(name, FORMATS)}")


def show_answer(
    plan: Plan,
    format_: str,
    out: Path | None,
    console: Console,
    show_all: bool = False,
    asked: ReportSpec | None = None,
) -> None:
    """The table, in the terminal or as text, and the report in files."""
    from deo_bench.experiments.answer import entries_of, report_of, scope_of
    from deo_bench.reports.render_csv import comma_separated
    from deo_bench.reports.render_latex import latex
    from deo_bench.reports.render_markdown import markdown
    from deo_bench.reports.render_terminal import terminal
    from deo_bench.reports.write import make_tables, write_report

    if not plan.requests:
        return
    spec = report_of(plan, asked)
    made = make_tables(spec, entries_of(plan), scope_of(plan), plan.store.root)
    if format_ == "rich":
        console.print(terminal(made, show_all, width=max(console.width, 80)))
    else:
        typer.echo({"markdown": markdown, "latex": latex, "csv": comma_separated}[format_](made))
    folder = out or Path("reports") / plan.experiment.name
    written = write_report(spec, made, folder)
    page = next((path for path in written if path.suffix == ".html"), written[0])
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)
