"""`deo-bench plan`: what an experiment would do, and what of it is done."""

from __future__ import annotations

import typer

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.cli.run import ExperimentArgument, SeedsOption, SetOption, SkipOption, read_seeds


def plan(
    experiment: ExperimentArgument,
    store: StoreOption = STORE,
    data: DataOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    skip_missing: SkipOption = False,
) -> None:
    """Say which runs and scores exist, which are missing, in which cohorts, and what they will cost."""
    from deo_bench.experiments.answer import check_own_report, expected_of
    from deo_bench.experiments.file import read_experiment
    from deo_bench.experiments.plan import make_plan
    from deo_bench.experiments.summary import told_cells, told_expectations, told_plan

    made = make_plan(read_experiment(experiment, set_ or (), read_seeds(seeds)), store, data, skip_missing)
    check_own_report(made)
    for line in [*told_cells(made), "", *told_expectations(expected_of(made)), *told_plan(made), *made.missing]:
        typer.echo(line)
