"""`deo-bench runs`: what is in a store."""

from __future__ import annotations

from typing import Annotated

import typer

from deo_bench.cli.arguments import STORE, StoreOption


def runs(
    experiment: Annotated[str | None, typer.Argument(help="Only the runs of this experiment.")] = None,
    store: StoreOption = STORE,
) -> None:
    """List runs: their state, what they are called, how long they took, and what is worth a mark."""
    from rich.console import Console
    from rich.table import Table

    from deo_bench.store import Store

    labels = _labels(experiment, store) if experiment else {}
    table = Table(box=None, pad_edge=False)
    for column in ("run", "state", "steps", "seconds", "scores", "what"):
        table.add_column(column, justify="right" if column in ("steps", "seconds", "scores") else "left")
    for run in Store(store).runs():
        if experiment and run.name not in labels:
            continue
        info = run.info if run.state in ("done", "failed") else {}
        scores = len(list((run.path / "scores").glob("*.json")))
        told = "; ".join([*labels.get(run.name, ()), *info.get("marks", ()), info.get("reason", ""), run_problem(run)])
        cells = (run.name, run.state, info.get("steps", ""), info.get("seconds", ""), scores, told.strip("; "))
        table.add_row(*(str(cell) for cell in cells))
    for name, called in labels.items():
        if Store(store).run(name).state == "missing":
            table.add_row(name, "missing", "", "", "0", "; ".join(called))
    if table.row_count:
        Console(soft_wrap=True).print(table)
    else:
        typer.echo(f"{store}: no runs")


def run_problem(run) -> str:  # type: ignore[no-untyped-def]
    """Why a run that says it is done is not whole, or nothing."""
    return run.problem() if run.state == "done" else ""


def _labels(experiment: str, store) -> dict[str, tuple[str, ...]]:  # type: ignore[no-untyped-def]
    from deo_bench.experiments.file import read_experiment
    from deo_bench.experiments.plan import make_plan

    plan = make_plan(read_experiment(experiment), store, skip_missing=True)
    return {name: run.labels for name, run in plan.runs.items()}
