"""Trials of a sweep as tables and figures read them: which have a value, what of them was best when, where they lie."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from deo_bench.recipe.naming import full_text, json_text, value_text
from deo_bench.reports.searched import Aim, Axis, Searched, State, Tried

STATES: tuple[State, ...] = ("complete", "pruned", "failed", "running")
_FIELDS = ("study", "cell", "number", "state", "is_default", "cost_nothing", "run", "measured_at", "measured")


def sign(aim: Aim) -> int:
    """1 where more is better, -1 where less is."""
    return -1 if aim.direction == "min" else 1


def factor(aim: Aim) -> float:
    """What makes a value the number that is shown: 100 of a share, 1 of anything else."""
    return 100.0 if aim.is_share else 1.0


def value_of(trial: Tried, place: int) -> float | None:
    """What a finished trial reached in the aim at a place; none of a trial without it, or where it is no number."""
    value = trial.values[place] if trial.state == "complete" and place < len(trial.values) else None
    return value if value is not None and isfinite(value) else None


def reached(searched: Searched, place: int) -> list[tuple[Tried, float]]:
    """The trials that have a value of an aim, with it, by number."""
    told = [(trial, value_of(trial, place)) for trial in sorted(searched.trials, key=lambda trial: trial.number)]
    return [(trial, value) for trial, value in told if value is not None]


def best(searched: Searched, place: int = 0, most: int = 1) -> list[Tried]:
    """The trials with the best values of an aim, the best first; of equal ones the first that was made."""
    order = sign(searched.aims[place])
    ranked = sorted(reached(searched, place), key=lambda each: (-order * each[1], each[0].number))
    return [trial for trial, _ in ranked[:most]]


def running_best(points: Sequence[tuple[Tried, float]], order: int) -> list[tuple[int, float]]:
    """Number and value of every trial that was better than all before it; order: 1 where more is better, else -1."""
    made: list[tuple[int, float]] = []
    for trial, value in points:
        if not made or order * value > order * made[-1][1]:
            made.append((trial.number, value))
    return made


def last_measured(trial: Tried) -> tuple[float, float] | None:
    """The share of the training of a trial's last measurement on the way, and what it was; none without any."""
    told = [(share, value) for share, value in trial.measured.items() if isfinite(value)]
    return max(told) if told else None


def states_of(searched: Searched) -> Mapping[str, int]:
    """How many trials are in each state; one that is in none is not counted."""
    count = Counter(trial.state for trial in searched.trials)
    return {state: count[state] for state in STATES}


def is_over(searched: Searched) -> bool:
    """Whether the study has made all the trials that it was given."""
    count = states_of(searched)
    return not count["running"] and sum(count.values()) >= searched.wanted


def choice_of(axis: Axis, value: Any) -> int | None:
    """The place of a value among an axis' choices, whichever way their texts say it; none where it is none of them."""
    for text in (str(value), value_text(value), full_text(value), json_text(value)):
        if text in axis.choices:
            return axis.choices.index(text)
    return None


def position(axis: Axis, trial: Tried) -> float | None:
    """Where a trial lies on an axis, a choice by its place; none where the path was not in force."""
    if axis.path not in trial.settings:
        return None
    value = trial.settings[axis.path]
    if axis.choices:
        return choice_of(axis, value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) and not (axis.is_log and value <= 0) else None


def bounds_of(axis: Axis, trials: Sequence[Tried]) -> tuple[float, float]:
    """The ends of an axis of numbers, which hold every trial's value."""
    told = [at for trial in trials if (at := position(axis, trial)) is not None]
    ends = [float(end) for end in (axis.low, axis.high) if end is not None]
    return min([*told, *ends], default=0.0), max([*told, *ends], default=1.0)


def in_force(axis: Axis, trials: Sequence[Tried]) -> list[Tried]:
    """The trials in which a path was in force."""
    return [trial for trial in trials if position(axis, trial) is not None]


def comma_separated(searched: Sequence[Searched]) -> str:
    """A record a trial of every study: state, each aim, each path, and the name of its run."""
    aims = list(dict.fromkeys(aim.name for study in searched for aim in study.aims))
    paths = list(dict.fromkeys(axis.path for study in searched for axis in study.axes))
    named = {aim: f"aim {aim}" if aim in (*_FIELDS, *paths) else aim for aim in aims}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FIELDS, *named.values(), *paths], lineterminator="\n")
    writer.writeheader()
    for study in searched:
        for trial in sorted(study.trials, key=lambda trial: trial.number):
            writer.writerow(_record(study, trial, named))
    return text.getvalue()


def _record(study: Searched, trial: Tried, named: Mapping[str, str]) -> dict[str, Any]:
    """A trial; what is measured to nine digits, as the last ones differ by machine, what was set to the last digit."""
    share, value = last_measured(trial) or (None, None)
    told: dict[str, Any] = {
        "study": study.study, "cell": study.cell, "number": trial.number, "state": trial.state,
        "is_default": trial.is_default, "cost_nothing": trial.cost_nothing, "run": trial.run,
        "measured_at": share, "measured": value,
    }  # fmt: skip
    told |= {named[aim.name]: each for aim, each in zip(study.aims, trial.values, strict=False)}
    told = {key: f"{each:.9g}" if isinstance(each, float) else each for key, each in told.items()}
    settings = {axis.path: trial.settings[axis.path] for axis in study.axes if axis.path in trial.settings}
    return told | {
        path: each if isinstance(each, str | int | float) else json_text(each) for path, each in settings.items()
    }
