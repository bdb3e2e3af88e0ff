"""`deo-bench sweep`: search settings by trials, run the best of them anew, and end with the table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.cli.run import ExperimentArgument, FormatOption, SeedsOption, SetOption, read_seeds
from deo_bench.cli.storage import StorageOption
from deo_bench.cli.together import ALL_FAILED, FAILED, SOME_FAILED, STARTED_BY, command_of, work_together

if TYPE_CHECKING:
    from rich.console import Console

    from deo_bench.experiments.sweep.plan import SweepPlan
    from deo_bench.experiments.sweep.study import Study


def sweep(
    experiment: ExperimentArgument,
    store: StoreOption = STORE,
    data: DataOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    storage: StorageOption = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of each cell instead of the file's.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that work on the sweep together.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; workers take several GPUs in turn.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each worker; else the cores over the workers.")
    ] = None,
    format_: FormatOption = "rich",
    out: Annotated[Path | None, typer.Option(help="Folder of the report; else reports/NAME.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Show the tables of every probe.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live display.")] = False,
    worker: Annotated[int | None, typer.Option(hidden=True, help="This process is one of several workers.")] = None,
) -> None:
    """Search an experiment's [sweep] by trials, run the best with fresh seeds, then show and write what they say.

    Any number of processes may run the same command on one study, on one machine or many that share store and storage.
    """
    from rich.console import Console

    from deo_bench.cli.answer import check_device, check_folder, check_format, show_answer
    from deo_bench.experiments.answer import check_own_report
    from deo_bench.experiments.file import read_experiment
    from deo_bench.experiments.sweep.final import final_plan, searched_of
    from deo_bench.experiments.sweep.notes import notes_of
    from deo_bench.experiments.sweep.plan import make_sweep

    check_format(format_)
    check_device(device)
    check_folder(out)
    console = Console(stderr=format_ != "rich")
    given = [*(set_ or ()), *([f"sweep.trials={trials}"] if trials else ())]
    made = make_sweep(read_experiment(experiment, given, read_seeds(seeds)), store, data, storage)
    check_own_report(made.base)
    each = threads or max(1, len(os.sched_getaffinity(0)) // workers)
    if worker is not None:
        _end(_work(made, device, each, worker, console, plain or None), SOME_FAILED, console, ALL_FAILED)
        return
    there = made.studies_looked_for(anew=True)
    _check_new(made, there)
    _put_on_record(made, console)
    failed: list[str] = []
    is_done = _is_done(made, there)
    for line in [] if is_done else notes_of(made):
        console.print(line, markup=False, soft_wrap=True)
    if not is_done and workers > 1:
        options = {"--store": store, "--data": data, "--set": set_, "--seeds": seeds, "--trials": trials}
        command = command_of(experiment, {**options, "--device": device, "--threads": each})
        failed = work_together(made, command, workers, console, plain or None)
    elif not is_done:
        failed = _work(made, device, each, None, console, plain or None)
    studies = made.studies()
    plan = final_plan(made, studies)
    show_answer(plan, format_, out, console, all_, searched_of(made, studies, plan))
    _end(failed, 1, console)


def _end(failed: list[str], status: int, console: Console, heading: str = "") -> None:
    """Say what failed, under a heading where there is one, and end with a status that says so."""
    if not failed:
        return
    for line in [*([heading] if heading else []), *(f"{FAILED}{line}" for line in failed)]:
        console.print(line, markup=False, soft_wrap=True)
    raise typer.Exit(status)


def _check_new(made: SweepPlan, there: Sequence[Study | None]) -> None:
    """Of studies without a trial: that the parts take what their trials may say. Torch is loaded for it."""
    from deo_bench.experiments.sweep.built import check_built

    new = [tuned.cell for tuned, study in zip(made.cells, there, strict=True) if study is None or not study.trials()]
    if new:
        check_built(made.space, made.experiment, new)


def _put_on_record(made: SweepPlan, console: Console) -> None:
    """What is expected of the recipes as they stand, before the first trial."""
    from deo_bench.experiments.answer import expected_of
    from deo_bench.experiments.recording import put_on_record

    for line in put_on_record(made.base, expected_of(made.base)):
        console.print(line, markup=False, soft_wrap=True)


def _is_done(made: SweepPlan, there: Sequence[Study | None]) -> bool:
    """Whether nothing is left, for which torch need not be loaded."""
    from deo_bench.experiments.sweep.final import final_plan

    if not all(study is not None and study.is_over for study in there):
        return False
    plan = final_plan(made, there)
    return not (plan.runs_to_do() or plan.scores_to_do() or plan.maps_to_do())


def _work(
    made: SweepPlan, device: str, threads: int, worker: int | None, console: Console, plain: bool | None
) -> list[str]:
    """Do what the sweep lacks in this process; the failures. Torch is loaded here."""
    import torch

    from deo_bench.cli.stopping import Stopping
    from deo_bench.cli.sweeping import SweepDisplay
    from deo_bench.experiments.checks import load_own_parts
    from deo_bench.experiments.sweep.launch import SweepLaunch
    from deo_bench.experiments.sweep.watch import Watch

    load_own_parts(made.recipes(), made.experiment.registry)
    torch.set_num_threads(threads)
    launch = SweepLaunch(made, device_of(device, worker), worker)
    events = launch.events()
    try:
        with Stopping() as stopping, SweepDisplay(console, Watch(made), plain) as display:
            for event in events:
                display.show(event)
                stopping.check()
                if worker is not None and os.environ.get(STARTED_BY) != str(os.getppid()):
                    raise KeyboardInterrupt  # nobody watches this worker any more
    except KeyboardInterrupt:
        events.close()
        console.print("stopped; the same command goes on from here", markup=False)
        raise
    return launch.failed


def device_of(asked: str, worker: int | None) -> str:
    """The device of a worker: of several GPUs one each in turn."""
    import torch

    from deo_bench.cli.answer import check_gpu

    check_gpu(asked)
    count = torch.cuda.device_count()
    if worker is not None and asked in ("auto", "cuda") and count > 1:
        return f"cuda:{worker % count}"
    return asked
