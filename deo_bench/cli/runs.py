"""`deo-bench runs`: what is in a store, and pruning it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.cli.prune import prune
from deo_bench.cli.storage import StorageOption

if TYPE_CHECKING:
    from pathlib import Path

    from deo_bench.store import Run


class _ListsByDefault(TyperGroup):
    """Takes what is no command's name for what is to be listed: `deo-bench runs quickstart`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` first where no command is named."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return list(super().parse_args(ctx, args))


runs = typer.Typer(
    cls=_ListsByDefault,
    help="List what is in a store, or prune it. `deo-bench runs` alone lists; `deo-bench runs EXPERIMENT` lists the "
    "runs of one experiment.",
    rich_markup_mode=None,
)


@runs.command("list")
def list_(
    experiment: Annotated[str | None, typer.Argument(help="Only the runs of this experiment.")] = None,
    store: StoreOption = STORE,
    data: DataOption = None,
    storage: StorageOption = None,
) -> None:
    """List runs: their state, what they are called, how long they took, and what is worth a mark."""
    from rich.console import Console
    from rich.table import Table

    from deo_bench.store import Store

    labels = _labels(experiment, store, data, storage) if experiment else {}
    table = Table(box=None, pad_edge=False)
    for column in ("run", "state", "steps", "seconds", "scores", "what"):
        table.add_column(column, justify="right" if column in ("steps", "seconds", "scores") else "left")
    for run in Store(store).runs():
        if experiment and run.name not in labels:
            continue
        info = run.info if run.state in ("done", "failed", "pruned") else {}
        scores = len(list((run.path / "scores").glob("*.json")))
        why = [info.get("reason", ""), run_problem(run), run.told_stop]
        told = "; ".join(filter(None, [*labels.get(run.name, ()), *info.get("marks", ()), *why]))
        cells = (run.name, run.state, info.get("steps", ""), info.get("seconds", ""), scores, told)
        table.add_row(*(str(cell) for cell in cells))
    for name, called in labels.items():
        if Store(store).run(name).state == "missing":
            table.add_row(name, "missing", "", "", "0", "; ".join(called))
    if table.row_count:
        Console(soft_wrap=True).print(table)
    else:
        typer.echo(f"{store}: no runs")


def run_problem(run: Run) -> str:
    """Why a run that says it is done is not whole, or nothing."""
    return run.problem() if run.state == "done" else ""


def _labels(experiment: str, store: Path, data: Path | None, storage: str | None) -> dict[str, tuple[str, ...]]:
    from deo_bench.experiments.answer import answer_of
    from deo_bench.experiments.file import read_experiment

    plan, searched = answer_of(read_experiment(experiment), store, data, storage)
    labels = {name: run.labels for name, run in plan.runs.items()}
    for study in searched:
        for trial in study.trials:
            if trial.run:
                what = f"{study.cell}, trial {trial.number}" if study.cell else f"trial {trial.number}"
                labels[trial.run] = (*labels.get(trial.run, ()), what)
    return labels


runs.command()(prune)
