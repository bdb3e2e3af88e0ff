"""`deo-bench catalogue`: the generated tables of the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deo_bench.errors import UserError


def catalogue(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 where a table is stale.")] = False,
    root: Annotated[Path, typer.Option(help="The checkout.")] = Path(),
) -> None:
    """Write the catalogue of a checkout. The tables of teachers/, students/ and losses/, from what parts declare."""
    from deo_bench.reports.catalogue import PAGES, stale, write

    if not any((root / page).is_file() for page in PAGES):
        raise UserError(f"{root.resolve()} is no checkout of deo-bench: there is no {next(iter(PAGES))} to write")
    if not check:
        for path in write(root):
            typer.echo(f"wrote {path}")
        return
    outdated = stale(root)
    for path in outdated:
        typer.echo(f"{path} is stale; `deo-bench catalogue` writes it")
    if outdated:
        raise typer.Exit(1)
