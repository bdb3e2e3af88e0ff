"""`deo-bench submission`: an experiment's scores as GEO-Bench-2's leaderboard takes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.cli.export import check_target
from deo_bench.errors import UserError

if TYPE_CHECKING:
    from deo_bench.experiments.plan import Plan
    from deo_bench.probes.record import ProtocolRecord


def submission(
    experiment: Annotated[str, typer.Argument(help="An experiment file, or a preset's name.")],
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write; submissions/NAME where left out.")] = None,
    frozen: Annotated[bool, typer.Option("--frozen", help="Of the frozen backbones; else of the fine-tuned.")] = False,
    task: Annotated[list[str] | None, typer.Option("--task", help="Only this data set; repeat for more.")] = None,
    partition: Annotated[str, typer.Option("--partition", help="Of the labels.")] = "default",
    bands: Annotated[str | None, typer.Option("--bands", help="The band set, where there are several.")] = None,
    weights: Annotated[str, typer.Option("--weights", help="student, or ema.")] = "student",
    allow_fewer: Annotated[
        bool, typer.Option("--allow-fewer", help="Write fewer than 5 seeds too; the leaderboard takes exactly 5.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a submission that is there already.")] = False,
    store: StoreOption = STORE,
    data: DataOption = None,
) -> None:
    """Write GEO-Bench-2's submission: a row a cell, data set and seed, from scores under the protocol gb2-hpo16.

    A folder of `results_and_parameters.csv` and `additional_info.json`, whose links and licence are yours to fill in.
    Nothing is trained, and scores under any other protocol are none of it.
    """
    from deo_bench.experiments.answer import entries_of
    from deo_bench.experiments.file import read_experiment
    from deo_bench.experiments.plan import make_plan
    from deo_bench.files import write_folder
    from deo_bench.reports.frame import read_scores
    from deo_bench.reports.submission import FILES, Asked
    from deo_bench.reports.submission import submission as make_submission

    if weights not in ("student", "ema"):
        raise UserError(f"--weights {weights!r}: there are student and ema")
    plan = make_plan(read_experiment(experiment), store, data, skip_missing=True)
    protocol, name = _protocol(plan), plan.experiment.path.stem
    target = to or Path("submissions") / name
    check_target(target, force, FILES, "a submission")
    entries, problems = entries_of(plan), list[str]()
    scores = read_scores(store, problems, {subject for entry in entries for _, subject in entry.subjects})
    scores = scores[scores["digest"].isin({request.digest for request in plan.requests})]
    asked = Asked(name, "frozen" if frozen else "finetune", partition, weights, bands, task or (), allow_fewer)
    made = make_submission(scores, entries, protocol, asked)
    write_folder(target, made.files())
    for line in [*problems, *made.notes]:
        typer.echo(f"note: {line}", err=True)
    typer.echo(f"{target}: {len(made.rows)} rows; fill in additional_info.json: links, licence, what is new")


def _protocol(plan: Plan) -> ProtocolRecord:
    """The record of the leaderboard's protocol among those that the experiment asks for."""
    from deo_bench.reports.submission import PROTOCOL

    for record in plan.experiment.protocols:
        if record.id == PROTOCOL:
            return record
    asked = ", ".join(record.id for record in plan.experiment.protocols)
    raise UserError(
        f'{plan.experiment.path}: asks for scores under {asked}; a submission takes protocols = ["{PROTOCOL}"]'
    )
