"""A plan and its outcome in a few lines of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deo_bench.experiments.events import Outcome
from deo_bench.experiments.plan import Plan, PlannedRun, kept
from deo_bench.reports.declared import Expectation


def noun(count: int, word: str) -> str:
    """The word for so many: `run` or `runs`."""
    return word if count == 1 else f"{word}s"


def told_plan(plan: Plan) -> list[str]:
    """How much there is to do: runs in cohorts, training steps, backbones to encode, scores."""
    todo, scores, maps = plan.runs_to_do(), plan.scores_to_do(), plan.maps_to_do()
    if not todo and not scores and not maps:
        runs, scored = len(plan.runs), len(plan.requests)
        are = "is" if runs + scored == 1 else "are"
        return [f"nothing to do: {runs} {noun(runs, 'run')} and {scored} {noun(scored, 'score')} {are} there"]
    lines = []
    cohorts = plan.cohorts(todo)
    if todo:
        steps = sum(run.recipe.train.steps for run in todo)
        images = sum(run.recipe.train.steps * run.recipe.train.batch for run in todo)
        needed = sum(run.depth > 0 for run in todo)
        extra = f", {needed} of them a prerequisite" if needed else ""
        trained = [cohort for cohort in cohorts if any(run.recipe.train.steps for run in cohort)]
        lines.append(
            f"to train: {len(todo)} of {len(plan.runs)} {noun(len(plan.runs), 'run')} in {len(cohorts)} "
            f"{noun(len(cohorts), 'cohort')}{extra}; {steps:,} {noun(steps, 'step')}, "
            f"{images:,} {noun(images, 'image')}, read and cropped {_batches(trained):,} times"
        )
    if scores:
        backbones = {(score.subject, score.weights, score.step) for score in scores}
        tasks = len({score.task for score in scores})
        lines.append(
            f"to score: {len(scores)} of {len(plan.requests)} {noun(len(plan.requests), 'score')} of {len(backbones)} "
            f"{noun(len(backbones), 'backbone')} on {tasks} {noun(tasks, 'task')}"
        )
    if maps:
        images = plan.experiment.settings.maps
        sets = noun(len(plan.maps), "set")
        lines.append(f"to map: {len(maps)} of {len(plan.maps)} {sets} of maps, {images} {noun(images, 'image')} each")
    return lines


def _batches(cohorts: list[list[PlannedRun]]) -> int:
    return sum(max(run.recipe.train.steps for run in cohort) * cohort[0].recipe.train.batch for cohort in cohorts)


def told_cells(plan: Plan) -> list[str]:
    """A line a row of the table: what it is, its runs, and how many of its runs and scores are there."""
    steps = plan.experiment.settings.score_at
    wanted = Counter(request.subject for request in plan.requests)
    left = Counter(request.subject for request in plan.scores_to_do())
    width = max(len(row.label) for row in plan.rows)
    lines = [f"{plan.experiment.path}: {len(plan.rows)} {noun(len(plan.rows), 'row')}, store {plan.store.root}"]
    prerequisites = [run for run in plan.runs.values() if run.depth > 0]
    for run in prerequisites:
        is_done = plan.store.run(run.name).is_done()
        lines.append(f"  {run.labels[0]:<{width}}  {run.name}  {'trained' if is_done else 'to train first'}")
    for row in plan.rows:
        names = [subject for _, subject in row.subjects]
        runs = [plan.runs[name] for name in names if name in plan.runs]
        done = sum(plan.store.run(run.name).is_done(kept(run.recipe, steps)) for run in runs)
        count = sum(wanted[name] for name in names)
        have = sum(wanted[name] - left[name] for name in names)
        told = f"{done} of {len(runs)} {noun(len(runs), 'run')}, " if runs else ""
        name = (
            names[0]
            if len(names) == 1
            else f"{names[0].rpartition('-s')[0]}-s{{{','.join(str(s) for s, _ in row.subjects)}}}"
        )
        lines.append(f"  {row.label:<{width}}  {name}  {told}{have} of {count} {noun(count, 'score')}")
    return lines


def told_expectations(expectations: Sequence[Expectation]) -> list[str]:
    """How many comparisons are declared, and which of them cannot be tested; nothing where nothing is expected."""
    every = [one for expectation in expectations for one in expectation.comparisons]
    if not every:
        return []
    left_out = dict.fromkeys(one.left_out for one in every if one.left_out)
    told = f"expected: {len(every)} {noun(len(every), 'comparison')} in {len(expectations)} "
    told += noun(len(expectations), "expectation")
    return [told + (f"; not testable: {'; '.join(left_out)}" if left_out else "")]


def told_outcome(outcome: Outcome) -> list[str]:
    """What was done and how long it took."""
    training = f"{outcome.trained} {noun(outcome.trained, 'run')} trained in {outcome.seconds_training:.0f} s"
    if outcome.seconds_prerequisites:
        training += f" ({outcome.seconds_prerequisites:.0f} s of it for prerequisites)"
    scoring = f"{outcome.scored} {noun(outcome.scored, 'score')} in {outcome.seconds_scoring:.0f} s, "
    scoring += f"{outcome.encoded:,} {noun(outcome.encoded, 'image')} encoded"
    if outcome.mapped:
        scoring += f"; {outcome.mapped} {noun(outcome.mapped, 'set')} of maps"
    if outcome.seconds_references:
        scoring += f"; supervised reference {outcome.seconds_references:.0f} s more"
    return [f"{training}; {scoring}"]
