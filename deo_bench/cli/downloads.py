"""Draws a download while it works: its size and the room there is, a bar, what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deo_bench.errors import MissingInput

if TYPE_CHECKING:
    from rich.progress import TaskID

    from deo_bench.data.download import Download

_STAGES = {"download": "downloading", "check": "checking", "unpack": "unpacking"}


def bring_all(wanted: Iterable[tuple[str, Download]], root: Path | None) -> list[MissingInput]:
    """Download files one after another; returns what cannot be had, which keeps none of the others from coming."""
    from deo_bench.data.download import is_offline

    missing: list[MissingInput] = []
    for label, download in wanted:
        assert root is not None
        try:
            _bring(label, download, root)
        except MissingInput as error:
            missing.append(error)
            if is_offline():
                break
    return missing


def _bring(label: str, download: Download, root: Path) -> None:
    """Download one file, and say before what it is and after where it is."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from deo_bench.data.download import fetch

    if download.is_there(root):
        typer.echo(f"{label}: there already, {download.place(root)}")
        return
    columns = (BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    progress = Progress(TextColumn("{task.description}", markup=False), *columns, console=Console(stderr=True))
    bars: dict[str, TaskID] = {}
    try:
        for step in fetch(download, root):
            if not bars:
                if step.stage == "download":
                    typer.echo(_said(label, download, root, step.total), err=True)
                progress.start()
            if step.stage not in bars:
                bars[step.stage] = progress.add_task(f"{_STAGES[step.stage]} {label}", total=step.total)
            progress.update(bars[step.stage], completed=step.done, total=step.total)
    finally:
        if bars:
            progress.stop()
    typer.echo(f"{label}: {download.place(root)}")


def _said(label: str, download: Download, root: Path, total: int | None) -> str:
    size = f"{total / 1e9:.3f} GB" if total else "of a size that nobody says"
    free = shutil.disk_usage(root).free
    return f"{label}: {download.url}, {size}, to {download.place(root)}; {free / 1e9:.1f} GB are free"
