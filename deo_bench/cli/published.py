"""`deo-bench published`: what others have published, as it ships or in their result files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deo_bench.errors import UserError, nearest, shown, unknown

if TYPE_CHECKING:
    from deo_bench.reports.published import PublishedFrame
    from deo_bench.reports.section import Section


@dataclass(frozen=True)
class _Tables:
    """What the formats draw."""

    sections: tuple[Section, ...]
    problems: list[str] = field(default_factory=list)


def published(
    name: Annotated[
        str | None, typer.Argument(help="A source, or a result CSV of torchgeo-bench or GEO-Bench; else a list.")
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Only this training partition, such as 1.00x.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; repeat for more.")] = None,
    format_: Annotated[str, typer.Option("--format", help="Tables as rich, markdown, latex or csv.")] = "rich",
) -> None:
    """Show published numbers. Each with its source, protocol and confidence; never averaged with ours."""
    from deo_bench.cli.answer import check_format

    check_format(format_)
    if name is None:
        if partition or task or format_ != "rich":
            raise UserError("--partition, --task and --format are for the numbers of one source; name it, or a CSV")
        _list()
        return
    frame = _numbers(name)
    frame = _only(frame, "task", task or (), name)
    frame = _only(frame, "partition", (partition,) if partition else (), name)
    if frame.empty:
        raise UserError(f"{shown(name)} has no number of these tasks in partition {shown(partition)}")
    _draw(frame, format_)


def _list() -> None:
    from deo_bench.reports.published import CONFIDENCE, numbers_of, read_source, source_names

    names = source_names()
    width = max(map(len, names))
    for name in names:
        source = read_source(name)
        numbers = numbers_of(source)
        letters = "".join(sorted(set(numbers["confidence"])))
        told = f"{source.title} [confidence {letters}; {len(numbers)} numbers]"
        if source.conflicts_with:
            told += f" (contradicts {source.conflicts_with}: only by name)"
        typer.echo(f"{name:<{width}}  {told}")
    typer.echo("")
    for letter, meaning in CONFIDENCE.items():
        if letter != "?":
            typer.echo(f"{letter}: {meaning}")


def _numbers(name: str) -> PublishedFrame:
    """The numbers of a source by name, or of a file."""
    from deo_bench.reports.published import numbers_of, read_published, read_source, source_names

    if name in source_names():
        return numbers_of(read_source(name))
    if name.lower().endswith(".csv") or "/" in name or Path(name).is_file():
        return read_published(Path(name))
    raise unknown("source of published numbers", name, source_names(), "neither a source nor a .csv")


def _only(frame: PublishedFrame, column: str, wanted: Sequence[str], name: str) -> PublishedFrame:
    known = list(dict.fromkeys(frame[column]))
    for given in wanted:
        if given not in known:
            raise UserError(f"--{column}: {shown(name)} has no {column} {shown(given)}{nearest(given, known)}")
    return frame[frame[column].isin(list(wanted))] if wanted else frame


def _draw(frame: PublishedFrame, format_: str) -> None:
    from rich.console import Console

    from deo_bench.reports.published import published_sections
    from deo_bench.reports.render_latex import latex
    from deo_bench.reports.render_markdown import markdown
    from deo_bench.reports.render_terminal import terminal

    if format_ == "csv":
        typer.echo(frame.to_csv(index=False, float_format="%.9g", lineterminator="\n"), nl=False)
        return
    tables = _Tables(tuple(published_sections(frame)))
    if format_ == "rich":
        console = Console()
        console.print(terminal(tables, True, width=max(console.width, 80)))
    else:
        typer.echo({"markdown": markdown, "latex": latex}[format_](tables), nl=False)
