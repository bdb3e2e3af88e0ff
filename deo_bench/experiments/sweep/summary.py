"""A sweep in a few lines of words: what of it is done, and what is left."""

from __future__ import annotations

from deo_bench.experiments.summary import noun, told_cells, told_plan
from deo_bench.experiments.sweep.final import final_plan, searched_of
from deo_bench.experiments.sweep.notes import notes_of
from deo_bench.experiments.sweep.plan import SweepPlan
from deo_bench.experiments.sweep.progress import finished_of
from deo_bench.experiments.sweep.wording import told_best, told_counts


def told_sweep(sweep: SweepPlan) -> list[str]:
    """A line a cell, with its trials so far; what is left of them; then the finalists, or how many there will be."""
    from deo_bench.experiments.sweep.storage import storage_name

    studies = sweep.studies_looked_for()
    searched = searched_of(sweep, studies)
    where = storage_name(sweep.url, sweep.store, sweep.experiment.name)
    cells = f"{len(sweep.cells)} {noun(len(sweep.cells), 'cell')}"
    lines = [f"{sweep.experiment.path}: a sweep of {cells}, store {sweep.store}, studies {where}"]
    width = max(len(study.study) for study in searched)
    for study in searched:
        lines.append("  ".join(filter(None, [f"  {study.study:<{width}}", told_counts(study), told_best(study)])))
    lines += ["", "; ".join(searched[0].told), *notes_of(sweep)]
    left = sum(study.wanted - finished_of(study) for study in searched)
    if left <= 0:
        plan = final_plan(sweep, studies)
        return [*lines, "", *told_cells(plan), "", *told_plan(plan)]
    steps = sum(
        max(study.wanted - finished_of(study), 0) * tuned.recipe.train.steps
        for study, tuned in zip(searched, sweep.cells, strict=True)
    )
    seeds = sweep.final_runs([study.wanted for study in searched])
    trials = f"{left:,} {noun(left, 'trial')}, at most {steps:,} {noun(steps, 'step')}"
    lines.append(f"to try: {trials}; then at most {seeds} {noun(seeds, 'run')} with fresh seeds")
    return lines
