"""A sweep in words: its cells, trials, workers and finalists, for displays and for `plan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deo_bench.experiments.sweep.progress import Finals, Sight, best_of, finished_of, seconds_left
from deo_bench.experiments.sweep.workers import Worker
from deo_bench.recipe.naming import value_text
from deo_bench.reports.searched import Aim, Axis, Searched, Tried
from deo_bench.reports.trials import states_of
from deo_bench.reports.wording import number


def told_sight(seen: Sight) -> list[str]:
    """All of it in words: a cell each, what workers do, and the time left."""
    told = []
    for study in seen.studies:
        name = f"{study.cell}: " if study.cell else ""
        told.append(", ".join(filter(None, [name + told_counts(study), told_best(study)])))
    if seen.finals is not None:
        told.append(f"fresh seeds: {told_finals(seen.finals)}")
    for worker in seen.workers:
        told.append(" ".join(filter(None, worker_words(worker, seen.studies))))
    left = told_left(seconds_left(seen.studies, seen.workers, seen.finalist_runs))
    return [*told, left] if left else told


def told_counts(study: Searched) -> str:
    """How many trials are done, and what became of them."""
    counts = states_of(study)
    extra = ", ".join(f"{counts[state]} {state}" for state in ("pruned", "failed", "running") if counts[state])
    return f"{finished_of(study):,} of {study.wanted:,} trials" + (f" ({extra})" if extra else "")


def told_best(study: Searched) -> str:
    """The best value so far, and at which settings."""
    best = best_of(study)
    if best is None:
        return ""
    return f"best {told_values(study.aims, best.values)} at {told_settings(best, study.axes)}"


def told_trial(study: Searched, trial: Tried) -> str:
    """What became of a trial, in a line."""
    name = f"{study.cell}: " if study.cell else ""
    ended = {"complete": told_values(study.aims, trial.values), "pruned": "pruned", "failed": "failed"}[trial.state]
    if trial.state == "pruned" and trial.measured:
        ended = f"pruned after {max(trial.measured):.0%}"
    cost = "its run was there" if trial.cost_nothing else f"{trial.seconds:.0f} s" if trial.seconds else ""
    words = [ended, told_settings(trial, study.axes), cost]
    return f"{name}trial {trial.number}: {'; '.join(filter(None, words))}"


def told_values(aims: Sequence[Aim], values: Sequence[float | None]) -> str:
    """Values of a trial, one an aim; a name where there are several."""
    told = []
    for aim, value in zip(aims, values, strict=False):
        text = "–" if value is None else number(value) if aim.is_share else f"{value:.4g}"
        told.append(f"{aim.name} {text}" if len(aims) > 1 else text)
    return ", ".join(told)


def told_settings(trial: Tried, axes: Sequence[Axis]) -> str:
    """A trial's settings under their short names."""
    if trial.is_default and not trial.settings:
        return "the recipe as it stands"
    names = {axis.path: axis.name for axis in axes}
    told = ", ".join(f"{names.get(path, path)}={_value(value)}" for path, value in trial.settings.items())
    return f"{told} (the recipe as it stands)" if trial.is_default else told


def _value(value: Any) -> str:
    return (
        f"{value:.3g}" if isinstance(value, float) else value_text(dict(value) if isinstance(value, Mapping) else value)
    )


def told_finals(finals: Finals) -> str:
    """How far the finalists are."""
    return f"{finals.runs_done} of {finals.runs} runs, {finals.scores_done} of {finals.scores} scores"


def worker_words(worker: Worker, studies: Sequence[Searched]) -> tuple[str, str, str, str, str]:
    """What a worker does: who, at what, how far, how fast, and what it measured last."""
    at = worker.label
    if worker.trial is not None:
        at = f"{worker.cell}, trial {worker.trial}" if worker.cell else f"trial {worker.trial}"
    if worker.doing != "training":
        at = f"{at} {worker.doing}".strip()
    far = ""
    if worker.steps and worker.doing in ("training", "scoring"):
        far = f"{'step' if worker.doing == 'training' else 'score'} {worker.step} of {worker.steps}"
    fast = f"{worker.rate:.0f} images/s" if worker.doing == "training" and worker.rate else ""
    measured = ""
    if worker.measured is not None:
        aims = next((study.aims for study in studies if study.cell == worker.cell), ())
        measured = f"{told_values(aims[:1], [worker.measured]) or number(worker.measured)} at {worker.percent} %"
    return worker.name, at, far, fast, measured


def told_left(seconds: float | None) -> str:
    """The time left, in the unit that fits."""
    if seconds is None or seconds <= 0:
        return ""
    if seconds < 90:
        return f"about {max(seconds, 1):.0f} s left"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left"
