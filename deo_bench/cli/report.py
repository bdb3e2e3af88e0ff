"""`deo-bench report`: an answer rendered again from the scores in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.errors import UserError


def report(
    file: Annotated[str, typer.Argument(help="A report file, or a preset's name such as quickstart.")],
    store: StoreOption = STORE,
    data: DataOption = None,
    format_: Annotated[str, typer.Option("--format", help="Table as rich, markdown, latex or csv.")] = "rich",
    out: Annotated[Path | None, typer.Option(help="Folder for its files; else reports/NAME.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 where a file is stale.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Every column in the terminal.")] = False,
) -> None:
    """Show a report's table and write its page, figures and tidy scores; nothing is trained or scored."""
    from rich.console import Console

    from deo_bench.cli.answer import check_format, show_answer
    from deo_bench.experiments.answer import entries_of, report_of, scope_of
    from deo_bench.experiments.file import read_experiment
    from deo_bench.experiments.plan import make_plan
    from deo_bench.recipe import find_preset
    from deo_bench.reports.spec import read_spec
    from deo_bench.reports.write import make_tables, stale_files

    check_format(format_)
    path = find_preset(file, "reports")
    asked = read_spec(path)
    if asked.experiment is None:
        raise UserError(f"{path}: says no experiment; expected experiment = FILE, relative to it")
    plan = make_plan(read_experiment(str(path.parent / asked.experiment)), store, data, skip_missing=True)
    if not check:
        show_answer(plan, format_, out, Console(stderr=format_ != "rich"), show_all, asked)
        return
    spec = report_of(plan, asked)
    made = make_tables(spec, entries_of(plan), scope_of(plan), store)
    stale = stale_files(spec, made, out or Path("reports") / plan.experiment.name)
    for name in stale:
        typer.echo(f"{name} is not what the scores say; `deo-bench report {file}` writes it")
    if stale:
        raise typer.Exit(1)
