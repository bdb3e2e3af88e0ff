"""`deo-bench check`: whether a part keeps its contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deo_bench.cli.arguments import PartsOption
from deo_bench.cli.names import kind_of
from deo_bench.cli.weights import has_weights, weights_lines
from deo_bench.declarations import KINDS, Declaration
from deo_bench.errors import UserError, unknown
from deo_bench.registry import Registry

LARGEST = 4_000_000_000
"""Bytes of weights up to which a check loads them."""


def check(
    name: Annotated[str, typer.Argument(help="A part; or a part file, whose parts are all checked.")],
    kind: Annotated[str | None, typer.Option(help="Its kind, where two parts share the name.")] = None,
    parts: PartsOption = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="An option, as in eps=0.05; repeat.")] = None,
) -> None:
    """Hold a part against its contract. On the CPU, in seconds; exits with 1 where it breaks a rule.

    Of a teacher with weights it also says whether they are here, how to get them and how large they are, and loads
    those that are.
    """
    files = list(parts or ())
    if Path(name).suffix == ".py":
        files.append(Path(name))
    registry = Registry(files)
    broken = 0
    for declared in _wanted(registry, name, kind):
        broken += _check(registry, declared, dict(_option(text) for text in settings or ()))
    if broken:
        raise typer.Exit(1)


def _wanted(registry: Registry, name: str, kind: str | None) -> list[Declaration]:
    if Path(name).suffix == ".py":
        every = [declared for each in KINDS for declared in registry.all(each).values()]
        found = [declared for declared in every if declared.path and declared.path.resolve() == Path(name).resolve()]
        if not found:
            raise UserError(f"{name}: declares no part")
        return found
    found = [part for part in registry.find(name) if kind is None or part.kind == kind_of(kind)]
    if not found:
        kinds = KINDS if kind is None else [kind_of(kind)]
        raise unknown("part", name, [known for each in kinds for known in registry.all(each)])
    return found


def _check(registry: Registry, declared: Declaration, options: dict[str, Any]) -> int:
    from deo_bench.engine import contract

    typer.echo(f"{declared.kind} {declared.name} ({declared.origin})")
    broken = 0
    for finding in contract.check(registry, declared.kind, declared.name, options):
        typer.echo(f"  {'BROKEN' if finding.problem else 'holds ':<7} {finding.rule}")
        if finding.problem:
            typer.echo(f"          {finding.problem}")
            broken += 1
    for line in weights_lines(declared, options):
        typer.echo(f"  {line}")
    return broken + _loads(registry, declared, options)


def _loads(registry: Registry, declared: Declaration, options: dict[str, Any]) -> int:
    """Whether weights that are here load, where that fits into anyone's memory; what is wrong with them is a line."""
    if declared.kind != "teacher" or not has_weights(declared, options, LARGEST):
        return 0
    try:
        registry.build("teacher", declared.name, options=options)
    except UserError as error:
        typer.echo(f"  BROKEN  its weights load\n          {error}")
        return 1
    typer.echo("  holds   its weights load")
    return 0


def _option(text: str) -> tuple[str, Any]:
    from deo_bench.recipe.toml import parse_value

    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text}: expected OPTION=VALUE")
    return key.strip(), parse_value(value.strip(), Path.cwd())
