"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _folder(given: str) -> Path:
    if not given:
        raise typer.BadParameter("is empty; name a folder of runs, or leave it out")
    path = Path(given)
    if path.exists() and not path.is_dir():
        raise typer.BadParameter(f"{given} is a file; name a folder of runs, or one to be made")
    return path


StoreOption = Annotated[
    Path,
    typer.Option(
        "--store", envvar="DEO_BENCH_STORE", help="Folder of runs.", show_default=True, parser=_folder, metavar="FOLDER"
    ),
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of data; else DEO_BENCH_DATA or GEO_BENCH_DIR.")
]
PartsOption = Annotated[list[Path] | None, typer.Option("--parts", help="A part file of your own; repeat for more.")]

STORE = Path("runs")
"""The store, where neither `--store` nor `DEO_BENCH_STORE` names one."""
