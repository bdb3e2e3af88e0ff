"""`deo-bench doctor`: what this installation can and cannot do, and what mends it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deo_bench.cli.arguments import STORE, DataOption, PartsOption, StoreOption

if TYPE_CHECKING:
    from rich.console import Console

    from deo_bench.doctor import Finding, Section

_STYLES = {"ok": "green", "missing": "yellow", "problem": "bold red"}
_NARROWEST = 16


def doctor(
    store: StoreOption = STORE,
    data: DataOption = None,
    parts: PartsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a machine: everything, as one JSON object.")] = False,
) -> None:
    """Say what this installation can do: libraries, devices, store, data and weights, and what mends what lacks.

    Every line is ok, missing (absent, and only some things need it) or a problem. Exits with 1 where `deo-bench run
    quickstart` would not work. Makes nothing, downloads nothing.
    """
    from deo_bench.doctor import examine

    sections: list[Section] = []
    if as_json:
        sections = list(examine(store, data, parts or ()))
        typer.echo(json.dumps(_as_json(sections), indent=1, ensure_ascii=False))
    else:
        sections = _draw(examine(store, data, parts or ()))
    if any(finding.is_in_the_way for section in sections for finding in section.findings):
        raise typer.Exit(1)


def _draw(examined: Iterable[Section]) -> list[Section]:
    """Each section as soon as it was looked at: torch takes a while to load. Then the verdict."""
    from rich.console import Console

    console = Console()
    sections = []
    for section in examined:
        sections.append(section)
        _draw_section(console, section)
    blocking = [finding.name for section in sections for finding in section.findings if finding.is_in_the_way]
    if blocking:
        verdict = f"`deo-bench run quickstart` does not work here: {', '.join(dict.fromkeys(blocking))}"
        console.print(verdict, style="bold red", markup=False, highlight=False, soft_wrap=True)
    else:
        console.print("`deo-bench run quickstart` works here", style="bold green", markup=False, highlight=False)
    return sections


def _draw_section(console: Console, section: Section) -> None:
    """A line a finding; a terminal wraps its text beside its name, and never a remedy, which is there to be copied."""
    from rich.table import Table
    from rich.text import Text

    findings = _gathered(section.findings)
    width = max([_NARROWEST, *(len(finding.name) for finding in findings)])
    console.print(section.title, style="bold", markup=False, highlight=False)
    for finding in findings:
        if not console.is_terminal:
            remedy = f" -> {finding.remedy}" if finding.remedy else ""
            typer.echo(f"  {finding.state:<7}  {finding.name:<{width}}  {finding.text}{remedy}")
            continue
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(no_wrap=True, min_width=len("  problem"))
        line.add_column(no_wrap=True, min_width=width)
        line.add_column(overflow="fold")
        line.add_row(Text(f"  {finding.state}", style=_STYLES[finding.state]), Text(finding.name), Text(finding.text))
        console.print(line)
        if finding.remedy:
            console.print(Text(f"           -> {finding.remedy}", style="cyan"), soft_wrap=True)


def _gathered(findings: Iterable[Finding]) -> list[Finding]:
    """Weights of one family that are not there, in one line: there are far more of them than a screen has."""
    families: dict[object, list[Finding]] = {}
    for finding in findings:
        family = finding.facts.get("family") if finding.state == "missing" else None
        families.setdefault(family or id(finding), []).append(finding)
    return [alike[0] if len(alike) == 1 else _of_one_family(alike) for alike in families.values()]


def _of_one_family(findings: list[Finding]) -> Finding:
    from deo_bench.store.disk import size_text

    sizes = sorted(finding.facts["bytes"] for finding in findings if finding.facts["bytes"])
    told = f", {size_text(sizes[0])} to {size_text(sizes[-1])}" if sizes else ""
    names = ", ".join(finding.name for finding in findings)
    remedy = f"`deo-bench show {findings[0].name}` says how to get it; so for each"
    return replace(findings[0], name=findings[0].facts["family"], text=f"not there{told}: {names}", remedy=remedy)


def _as_json(sections: list[Section]) -> dict[str, Any]:
    findings = [finding for section in sections for finding in section.findings]
    return {
        "quickstart_works": not any(finding.is_in_the_way for finding in findings),
        "sections": {section.title: [_told(finding) for finding in section.findings] for section in sections},
    }


def _told(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "state": finding.state,
        "text": finding.text,
        "remedy": finding.remedy,
        "needed": finding.is_needed,
        **finding.facts,
    }
