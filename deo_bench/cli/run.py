"""`deo-bench run`: do what is missing of an experiment, and end with its table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.errors import UserError

ExperimentArgument = Annotated[str, typer.Argument(help="An experiment file, or a preset's name such as quickstart.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Set a dotted path, such as train.steps=50.")]
SeedsOption = Annotated[str | None, typer.Option("--seeds", help="Seeds instead of the file's, such as 0,1,2.")]
SkipOption = Annotated[bool, typer.Option("--skip-missing", help="Go on without cells whose data or weights lack.")]
FormatOption = Annotated[str, typer.Option("--format", help="Table as rich, markdown, latex or csv.")]


def run(
    experiment: ExperimentArgument,
    store: StoreOption = STORE,
    data: DataOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    skip_missing: SkipOption = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; else as many as cores.")] = None,
    format_: FormatOption = "rich",
    out: Annotated[Path | None, typer.Option(help="Folder of the report; else reports/NAME.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Show the tables of every probe.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of bars.")] = False,
) -> None:
    """Train and evaluate what an experiment still lacks, then show its table and write its report."""
    from rich.console import Console

    from deo_bench.cli.answer import check_device, check_folder, check_format, show_answer
    from deo_bench.experiments.answer import check_own_report, expected_of
    from deo_bench.experiments.file import read_experiment
    from deo_bench.experiments.plan import make_plan
    from deo_bench.experiments.recording import put_on_record

    check_format(format_)
    check_device(device)
    check_folder(out)
    console = Console(stderr=format_ != "rich")
    read = read_experiment(experiment, set_ or (), read_seeds(seeds))
    if read.settings.sweep is not None:
        raise UserError(f"{read.path}: holds a [sweep]; `deo-bench sweep {experiment}` carries it out")
    plan = make_plan(read, store, data, skip_missing)
    check_own_report(plan)
    for line in [*plan.missing, *put_on_record(plan, expected_of(plan))]:
        console.print(line, markup=False, soft_wrap=True)
    failed: list[str] = []
    if plan.runs_to_do() or plan.scores_to_do() or plan.maps_to_do():
        failed = carry_out(plan, device, threads, console, plain or None)
    show_answer(plan, format_, out, console, all_)
    if failed:
        for line in failed:
            console.print(f"failed: {line}", markup=False, soft_wrap=True)
        raise typer.Exit(1)


def carry_out(plan, device: str, threads: int | None, console, plain: bool | None) -> list[str]:  # type: ignore[no-untyped-def]
    """Do what a plan lacks; the failures. Torch is loaded here, and not where there is nothing to do."""
    import torch

    from deo_bench.cli.answer import check_gpu
    from deo_bench.cli.display import Display
    from deo_bench.cli.stopping import Stopping
    from deo_bench.experiments.checks import load_own_parts
    from deo_bench.experiments.launch import Launch
    from deo_bench.experiments.summary import told_outcome, told_plan

    check_gpu(device)
    load_own_parts((run.recipe for run in plan.runs.values()), plan.experiment.registry)
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    for line in told_plan(plan):
        console.print(line, markup=False, soft_wrap=True)
    launch = Launch(plan, device)
    events = launch.events()
    stopping = Stopping()
    try:
        with stopping, Display(console, plan, plain) as display:
            for event in events:
                display.show(event)
                stopping.check()
    except KeyboardInterrupt:
        events.close()
        console.print("stopped; the same command goes on from here", markup=False)
        raise
    for line in told_outcome(launch.outcome):
        console.print(line, markup=False, soft_wrap=True)
    return launch.outcome.failed


def read_seeds(text: str | None) -> list[int]:
    """`0,1,2` as numbers."""
    if text is None:
        return []
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise UserError(f"--seeds {text!r}: expected numbers such as 0,1,2") from None
