"""`deo-bench plan`: what an experiment would do, and what of it is done."""

from __future__ import annotations

import typer

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.cli.run import ExperimentArgument, SeedsOption, SetOption, SkipOption, read_seeds
from deo_bench.cli.storage import StorageOption


def plan(
    experiment: ExperimentArgument,
    store: StoreOption = STORE,
    data: DataOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    skip_missing: SkipOption = False,
    storage: StorageOption = None,
) -> None:
    """Say which runs, scores and trials exist, which are missing, in which cohorts, and what they will cost."""
    from deo_bench.experiments.answer import check_own_report, expected_of
    from deo_bench.experiments.file import read_experiment
    from deo_bench.experiments.plan import make_plan
    from deo_bench.experiments.summary import told_cells, told_expectations, told_plan

    read = read_experiment(experiment, set_ or (), read_seeds(seeds))
    if read.settings.sweep is not None:
        from deo_bench.experiments.sweep.plan import make_sweep
        from deo_bench.experiments.sweep.summary import told_sweep

        sweep = make_sweep(read, store, data, storage)
        check_own_report(sweep.base)
        for line in told_sweep(sweep):
            typer.echo(line)
        return
    made = make_plan(read, store, data, skip_missing)
    check_own_report(made)
    for line in [*told_cells(made), "", *told_expectations(expected_of(made)), *told_plan(made), *made.missing]:
        typer.echo(line)
