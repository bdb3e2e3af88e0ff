"""`deo-bench list`: what exists."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from deo_bench.cli.arguments import PartsOption
from deo_bench.cli.names import PRESETS, headline, kind_of, plural, preset_files
from deo_bench.declarations import KINDS
from deo_bench.errors import unknown
from deo_bench.registry import Registry


def list_(
    what: Annotated[
        str | None, typer.Argument(help="teachers, students, losses, … or experiments, recipes, reports.")
    ] = None,
    parts: PartsOption = None,
) -> None:
    """Say what exists. Parts of every kind, experiments, recipes and reports."""
    if what in PRESETS:
        _draw(what, _presets(what))
        return
    registry = Registry(parts or ())
    if what is not None:
        if what not in KINDS and what not in map(plural, KINDS):
            raise unknown("thing to list", what, [*map(plural, KINDS), *PRESETS])
        _draw(plural(kind_of(what)), _parts(registry, kind_of(what)))
        return
    for kind in KINDS:
        _draw(plural(kind), _parts(registry, kind))
    for word in PRESETS:
        _draw(word, _presets(word))


def _parts(registry: Registry, kind: str) -> list[tuple[str, str]]:
    rows = []
    for name, declared in registry.all(kind).items():
        marks = ["gated"] * bool(declared.facts.get("gated")) + ["yours"] * bool(declared.content)
        rows.append((name, declared.summary + (f" [{', '.join(marks)}]" if marks else "")))
    return rows


def _presets(word: str) -> list[tuple[str, str]]:
    return [(name, headline(path)) for name, path in preset_files(word).items()]


def _draw(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Names and what they are, cut at the terminal's edge and whole where there is none."""
    rows = list(rows)
    if not rows:
        return
    width = max(len(name) for name, _ in rows)
    edge = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    typer.echo(title)
    for name, text in rows:
        line = f"  {name:<{width}}  {text}".rstrip()
        typer.echo(line if len(line) <= edge else line[: edge - 1] + "…")
