"""Shows an experiment's answer, its table, and writes its report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from deo_bench.errors import UserError, nearest

if TYPE_CHECKING:
    from deo_bench.experiments.plan import Plan
    from deo_bench.reports.report import Report
    from deo_bench.reports.searched import Searched
    from deo_bench.reports.spec import ReportSpec

FORMATS = ("rich", "markdown", "latex", "csv")


def check_format(name: str) -> None:
    """Refuse a format that does not exist before anything is trained for it."""
    if name not in FORMATS:
        raise UserError(f"--format {name!r} is none{nearest(name, FORMATS)}")


def check_device(name: str) -> None:
    """Refuse a device that does not exist before torch is loaded for it."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UserError(f"--device {name!r} is none; say auto, cpu, cuda or cuda:1")


def check_gpu(name: str) -> None:
    """Refuse a GPU that torch does not see; torch is loaded for it."""
    import torch

    if name.startswith("cuda") and int(name.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise UserError(f"--device {name}: torch sees no such GPU here; leave it out, or say cpu")


def check_folder(out: Path | None) -> None:
    """Refuse to write a report where a file is."""
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; name a folder to write the report to")


def show_answer(
    plan: Plan,
    format_: str,
    out: Path | None,
    console: Console,
    show_all: bool = False,
    searched: Sequence[Searched] = (),
) -> None:
    """The table, in the terminal or as text, and the report in files; searched: the studies of a sweep."""
    from deo_bench.experiments.answer import report_of

    if not plan.requests:
        return
    made = show_table(plan, report_of(plan), format_, console, show_all, searched=searched)
    write_answer(made, out or Path("reports") / plan.experiment.name, console)


def show_table(
    plan: Plan,
    spec: ReportSpec,
    format_: str,
    console: Console,
    show_all: bool = False,
    quiet: bool = False,
    searched: Sequence[Searched] = (),
) -> Report:
    """The tables of a plan, in the terminal or as text on standard output."""
    from deo_bench.experiments.answer import entries_of, expected_of, scope_of
    from deo_bench.reports.render_csv import comma_separated
    from deo_bench.reports.render_latex import latex
    from deo_bench.reports.render_markdown import markdown
    from deo_bench.reports.render_terminal import terminal
    from deo_bench.reports.report import make_report
    from deo_bench.reports.short import in_short

    made = make_report(spec, entries_of(plan), scope_of(plan), plan.store.root, expected_of(plan), searched)
    if quiet:
        return made
    if format_ == "rich":
        console.print(terminal(made, show_all, max(console.width, 80), in_short(made.answer)))
    else:
        text = (
            comma_separated(made.answer.tables)
            if format_ == "csv"
            else {"markdown": markdown, "latex": latex}[format_](made)
        )
        typer.echo(text)
    return made


def write_answer(made: Report, folder: Path, console: Console) -> None:
    """Write the report, and say where its page is."""
    from deo_bench.reports.write import write_report

    written = write_report(made, folder)
    page = next((path for path in written if path.suffix == ".html"), written[0])
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)
