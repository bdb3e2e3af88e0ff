"""The option that says where a sweep's studies are kept."""

from __future__ import annotations

from typing import Annotated

import typer

STORAGE = "DEO_BENCH_STORAGE"

StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        envvar=STORAGE,
        metavar="URL",
        help="Where a sweep's studies are: a journal file, sqlite:///FILE or postgresql://…; else as its file says.",
    ),
]
