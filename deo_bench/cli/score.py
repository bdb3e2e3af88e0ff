"""`deo-bench score`: evaluate again, or something that was not trained here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deo_bench.cli.arguments import STORE, DataOption, PartsOption, StoreOption


def score(
    name: Annotated[str, typer.Argument(help="A run (the start of its name), a teacher, or a file of weights.")],
    task: Annotated[list[str], typer.Option("--task", help="A task's name, or a table such as '{use=\"npz\", …}'.")],
    protocol: Annotated[list[str] | None, typer.Option("--protocol", help="A protocol's id.")] = None,
    bands: Annotated[list[str] | None, typer.Option("--bands", help="A band set; else the largest that fits.")] = None,
    weights: Annotated[list[str] | None, typer.Option("--weights", help="student or ema.")] = None,
    partition: Annotated[list[str] | None, typer.Option("--partition", help="Of the labels: 0.01x_train.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="An option of the teacher: model=vit_base.")] = None,
    store: StoreOption = STORE,
    data: DataOption = None,
    parts: PartsOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    format_: Annotated[str, typer.Option("--format", help="Table as rich, markdown, latex or csv.")] = "rich",
) -> None:
    """Evaluate a run, a teacher, a baseline or a file of weights on tasks, and keep the scores in the store."""
    from rich.console import Console

    from deo_bench.cli.answer import check_device, check_format, show_table
    from deo_bench.cli.run import carry_out
    from deo_bench.experiments.answer import report_of
    from deo_bench.experiments.single import plan_of_one
    from deo_bench.recipe import parse_value

    check_format(format_)
    check_device(device)
    console = Console(stderr=format_ != "rich")
    tasks = [parse_value(text, Path.cwd()) for text in task]
    given = (tasks, protocol or ["tgb-v0.4"], store, data, bands or (), weights or ("student",), parts or ())
    plan = plan_of_one(name, *given, _options(set_ or ()), partition or ("default",))
    failed: list[str] = []
    if plan.runs_to_do() or plan.scores_to_do():
        failed = carry_out(plan, device, None, console, None)
    show_table(plan, report_of(plan), format_, console, show_all=True)
    if failed:
        raise typer.Exit(1)


def _options(given: Sequence[str]) -> dict[str, object]:
    """`model=vit_base` as options of a part; the value as TOML where it is, else as text."""
    from deo_bench.errors import UserError
    from deo_bench.recipe import parse_value

    found: dict[str, object] = {}
    for text in given:
        key, is_there, value = text.partition("=")
        if not is_there or not key.strip():
            raise UserError(f"--set {text!r}: expected OPTION=VALUE, such as model=vit_base_patch16_224")
        found[key.strip()] = parse_value(value.strip(), Path.cwd())
    return found
