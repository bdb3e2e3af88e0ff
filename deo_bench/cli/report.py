"""`deo-bench report`: the paper's table and figure from what is in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.cli.run import SeedsOption, SetOption, read_seeds
from deo_bench.cli.storage import StorageOption
from deo_bench.errors import UserError


def published_sources(names: list[str]) -> tuple[str, ...]:
    """What `--with` names; `published` alone is everything that ships and that no better source contradicts."""
    from deo_bench.reports.published import EVERY, check_sources

    if names == ["published"]:
        return (EVERY,)
    check_sources(names, "--with")
    return tuple(names)


def report(
    file: Annotated[str, typer.Argument(help="A report file, or a preset's name such as quickstart.")],
    store: StoreOption = STORE,
    data: DataOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; else reports/NAME.")] = None,
    format_: Annotated[str, typer.Option("--format", help="Table as rich, markdown, latex or csv.")] = "rich",
    all_: Annotated[bool, typer.Option("--all", help="Show the tables of every probe.")] = False,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with", help="Published numbers beside ours: published (all), a source's name, or a result CSV."
        ),
    ] = None,
    storage: StorageOption = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether what is on disk is up to date.")] = False,
) -> None:
    """Render tables, figures and page of an experiment from its scores; nothing is trained.

    What was run with --set or --seeds is found with the same ones.
    """
    from rich.console import Console

    from deo_bench.cli.answer import check_folder, check_format, show_table, write_answer
    from deo_bench.experiments.answer import answer_of, check_report, with_baseline
    from deo_bench.experiments.file import read_experiment
    from deo_bench.recipe import find_preset
    from deo_bench.reports.spec import read_spec
    from deo_bench.reports.write import stale_files

    check_format(format_)
    check_folder(out)
    path = find_preset(file, "reports")
    spec = read_spec(path)
    if spec.experiment is None:
        raise UserError(f"{path}: experiment = … is missing: the file that the report answers, relative to this one")
    experiment = read_experiment(str(path.parent / spec.experiment), set_ or (), read_seeds(seeds))
    plan, searched = answer_of(experiment, store, data, storage)
    check_report(spec, plan, str(path))
    spec = with_baseline(spec, plan)
    if with_:
        spec = spec.model_copy(update={"published": published_sources(with_)})
    folder = out or Path("reports") / path.stem
    console = Console(stderr=format_ != "rich")
    made = show_table(plan, spec, format_, console, all_, check, searched)
    if not check:
        write_answer(made, folder, console)
        return
    stale = stale_files(made, folder)
    for item in stale:
        typer.echo(f"not what would be written: {item}")
    if stale:
        raise typer.Exit(1)
    typer.echo(f"up to date: {folder}")
