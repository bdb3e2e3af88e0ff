"""What a sweep found, held against fresh seeds: on *select*, by which it was chosen, and on *report*, unseen so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, sqrt

import numpy as np
from scipy import special

from deo_bench.reports.answer import Answer
from deo_bench.reports.cells import Column
from deo_bench.reports.entries import Entry
from deo_bench.reports.searched import Aim, Finalist, Searched
from deo_bench.reports.statistics import (
    LEVEL,
    Difference,
    Estimate,
    Measured,
    difference,
    holm,
    mean_over_seeds,
    together,
)
from deo_bench.reports.statistics.interval import NO_SPREAD, weighed
from deo_bench.reports.statistics.parts import seed_part
from deo_bench.reports.trials import sign


@dataclass(frozen=True)
class Held:
    """What became of a finalist in one aim.

    searched: its value at the trial's seed; fresh: the mean over fresh seeds on *select*, its interval over seeds,
    without width where there is one; gap: fresh minus searched; is_beyond: whether the gap is more than one more
    seed would be off, 19 times of 20; reported: on *report*; reason: why that is none; against: the default row
    there, corrected: its p among all that a report compares so.
    """

    searched: float | None = None
    fresh: Estimate | None = None
    gap: float | None = None
    is_beyond: bool = False
    reported: Estimate | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    against: Difference | None = None
    corrected: float | None = None

    @property
    def is_resolved(self) -> bool:
        """Whether the difference to the default row is more than chance, among all that are compared with it."""
        return self.corrected is not None and self.corrected < 1 - LEVEL


def held(answer: Answer) -> list[dict[str, tuple[Held, ...]]]:
    """For every study its finalists by the label of their rows, an item an aim."""
    made = [_of_study(answer, study) for study in answer.searched]
    places = [
        (number, row, place)
        for number, rows in enumerate(made)
        for row, each in rows.items()
        for place, one in enumerate(each)
        if one.against is not None
    ]
    p_values = [gain.p for number, row, place in places if (gain := made[number][row][place].against)]
    for (number, row, place), p in zip(places, holm(p_values), strict=True):
        items = list(made[number][row])
        items[place] = replace(items[place], corrected=float(p))
        made[number][row] = tuple(items)
    return made


def _of_study(answer: Answer, study: Searched) -> dict[str, tuple[Held, ...]]:
    made: dict[str, list[Held]] = {finalist.row: [] for finalist in study.finalists}
    base = next((finalist for finalist in study.finalists if finalist.number is None), None)
    for place, aim in enumerate(study.aims):
        scores = {finalist.row: _reported(answer, study, aim, finalist.row) for finalist in study.finalists}
        others = scores[base.row].scores if base else ()
        for finalist in study.finalists:
            one, found = _searched(aim, finalist, place), scores[finalist.row]
            if found.scores:
                one = replace(one, reported=mean_over_seeds(found.scores), notes=found.notes)
                if finalist is not base and others:
                    one = replace(one, against=difference(found.scores, others))
            made[finalist.row].append(replace(one, reason=found.reason))
    return {row: tuple(each) for row, each in made.items()}


def _searched(aim: Aim, finalist: Finalist, place: int) -> Held:
    """What the search says of a finalist, and fresh seeds on the same split."""
    told = finalist.searched[place] if place < len(finalist.searched) else None
    seeds = finalist.fresh[place] if place < len(finalist.fresh) else {}
    values = np.array([value for _, value in sorted(seeds.items()) if isfinite(value)])
    fresh = fresh_estimate(values, aim)
    if fresh is None or told is None:
        return Held(told, fresh)
    gap = fresh.value - told
    return Held(told, fresh, gap, is_beyond(gap, values))


@dataclass(frozen=True)
class Fresh:
    """A finalist that was scored with fresh seeds, by its first aim. number: of its trial, none of the default."""

    number: int | None
    held: Held
    value: float


def by_fresh_seeds(study: Searched, rows: Mapping[str, tuple[Held, ...]]) -> tuple[list[Fresh], list[Fresh]]:
    """The trials that were scored with fresh seeds, the best first, and likewise the recipe as it stands."""
    numbers = {finalist.row: finalist.number for finalist in study.finalists}
    told = [Fresh(numbers[row], each[0], each[0].fresh.value) for row, each in rows.items() if each and each[0].fresh]
    tried = [one for one in told if one.number is not None]
    order = sign(study.aims[0])
    return sorted(tried, key=lambda one: -order * one.value), [one for one in told if one.number is None]


def beats(aim: Aim, one: Fresh, other: Fresh) -> bool:
    """Whether one mean is better than another by more than rounding."""
    return sign(aim) * (one.value - other.value) > NO_SPREAD * max(abs(one.value), abs(other.value))


def fresh_estimate(values: np.ndarray, aim: Aim) -> Estimate | None:
    """The mean over seeds with a 95 % t interval over them; of one seed an interval without width, of none nothing."""
    if not len(values):
        return None
    mean = float(values.mean())
    if len(values) == 1:
        return Estimate(mean, mean, mean, 1, None, aim.is_share)
    told = weighed(mean, [seed_part(values)], len(values), "paired")
    return Estimate(mean, told.low, told.high, len(values), told.df, aim.is_share)


def is_beyond(gap: float, values: np.ndarray) -> bool:
    """Whether one more run lies further from the mean of these than 19 of 20 would: |gap| > t s sqrt(1 + 1 / n).

    Never of one value, nor of equal ones: they show no spread to judge by.
    """
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    quantile = float(special.stdtrit(max(len(values) - 1, 1), (1 + LEVEL) / 2))
    return spread > 0 and abs(gap) > quantile * spread * sqrt(1 + 1 / len(values))


@dataclass(frozen=True)
class _Reported:
    """The scores of a row, averaged over an aim's tasks run by run; or why there are none."""

    scores: Sequence[Measured] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()


def _reported(answer: Answer, study: Searched, aim: Aim, row: str) -> _Reported:
    entry = next((entry for entry in answer.entries if row in (entry.label, entry.title)), None)
    columns = columns_of(answer, study, aim)
    if not aim.tasks or not columns:
        words = "a cost is on no split" if not aim.tasks else f"the report does not show probe {aim.probe!r}"
        return _Reported(reason=words)
    if entry is None:
        return _Reported(reason="not among the rows")
    return _over_tasks(answer, entry, columns)


def _over_tasks(answer: Answer, entry: Entry, columns: Mapping[str, Column]) -> _Reported:
    found = {task: answer.finder.find(entry, column) for task, column in columns.items()}
    lacking = [f"{task}: {one.reason}" for task, one in found.items() if not one.scores]
    if lacking:
        return _Reported(reason="; ".join(lacking))
    notes = tuple(dict.fromkeys(note for one in found.values() for note in one.notes))
    if len(found) == 1:
        return _Reported(next(iter(found.values())).scores, notes=notes)
    if not all(column.is_share for column in columns.values()):
        return _Reported(reason="what is no share has no mean over tasks")
    scores = together([one.scores for one in found.values()])
    return _Reported(scores, "" if scores else "no seed has scores on every task", notes)


def columns_of(answer: Answer, study: Searched, aim: Aim) -> dict[str, Column]:
    """Where an aim's tasks stand on *report*: by the probe that it is read from; empty where the report has no such.

    Bands, weights and partition are those that the trials were judged by, whichever of them the report shows first: of
    two tasks each may have bands of its own.
    """
    scope = answer.scope
    protocol = next((name for name, probes in scope.protocols.items() if aim.probe in probes), None)
    if protocol is None or not scope.bands:
        return {}
    bands = {task: study.judged.get(task, scope.bands[0]) for task in aim.tasks}
    return {
        task: answer.finder.column(task, aim.probe, protocol, bands[task], study.weights, study.partition)
        for task in aim.tasks
    }
