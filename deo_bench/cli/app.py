"""The commands of `deo-bench`. What they need loads inside them: help and listing start without torch."""

from __future__ import annotations

from typing import Annotated

import typer

from deo_bench import __version__
from deo_bench.cli.catalogue import catalogue
from deo_bench.cli.check import check
from deo_bench.cli.compare import compare
from deo_bench.cli.data import data
from deo_bench.cli.doctor import doctor
from deo_bench.cli.export import export
from deo_bench.cli.listing import list_
from deo_bench.cli.new import new
from deo_bench.cli.plan import plan
from deo_bench.cli.published import published
from deo_bench.cli.report import report
from deo_bench.cli.run import run
from deo_bench.cli.runs import runs
from deo_bench.cli.score import score
from deo_bench.cli.show import show
from deo_bench.cli.submission import submission
from deo_bench.cli.sweep import sweep

app = typer.Typer(
    help="Which teachers, which student and which losses matter when Earth-observation backbones are distilled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"deo-bench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and stop.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Options before any command."""


app.command()(run)
app.command()(sweep)
app.command()(plan)
app.command("list")(list_)
app.command()(show)
app.command()(check)
app.add_typer(runs, name="runs")
app.command()(score)
app.command()(report)
app.command()(compare)
app.command()(export)
app.command()(submission)
app.command()(published)
app.add_typer(data, name="data")
app.command()(doctor)
app.command()(new)
app.command()(catalogue)
