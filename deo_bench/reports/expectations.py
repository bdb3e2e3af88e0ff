"""What was expected, held against the scores: held, refuted or undecided, and what would decide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from deo_bench.reports.cells import Scores
from deo_bench.reports.declared import Declared, Expectation, Known, Records
from deo_bench.reports.entries import Entry
from deo_bench.reports.statistics import (
    LEVEL,
    Difference,
    Measured,
    Needed,
    against,
    alike,
    difference,
    has_spread,
    holm,
    one_sided,
    seeds_needed,
    together,
)

Verdict = Literal["held", "refuted", "undecided", "not tested"]
Standing = Literal["before", "late", "not on record"]
"""`before`: declared when no difference that it is about could be known; `late`: when one could; or no record says."""

POWER = 0.8
"""How often the seeds that are said to decide a comparison would."""

ONE_SEED = "a run of one seed: how much seeds vary is not known"
NO_SPREAD = "neither seeds nor test images show any spread to judge the difference by"
NO_SEEDS = "neither side has seeds to add"


@dataclass(frozen=True)
class Judged:
    """One declared comparison and what the scores say of it.

    gain: what ours is better by, more being better whatever the metric, with its interval by itself; none where it is
    not tested. p: of the claim or of its contrary, whichever the scores speak for; corrected: by Holm over all declared
    comparisons of the report; needed: what would decide an undecided one; reason: why it is not tested, or cannot be
    decided; known: the record; notes: on the scores.
    """

    declared: Declared
    verdict: Verdict = "not tested"
    gain: Difference | None = None
    p: float | None = None
    corrected: float | None = None
    needed: Needed | None = None
    reason: str = ""
    known: Known | None = None
    seeds: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def standing(self) -> Standing:
        """When it was declared, as far as the store has it on record."""
        return "not on record" if self.known is None else "late" if self.known.differences else "before"


@dataclass(frozen=True)
class Answered:
    """One expectation with its comparisons."""

    expectation: Expectation
    comparisons: tuple[Judged, ...]

    @property
    def verdict(self) -> Verdict:
        """Held where every comparison of it held, refuted where any is refuted."""
        verdicts = {one.verdict for one in self.comparisons}
        if "refuted" in verdicts:
            return "refuted"
        if verdicts == {"held"} or verdicts == {"not tested"}:
            return verdicts.pop()
        return "undecided"

    @property
    def is_prediction(self) -> bool:
        """Whether all of it was declared before its differences could be known; what is left out says nothing."""
        return all(one.standing == "before" for one in self.comparisons if not one.declared.left_out)


def judge(
    expectations: Sequence[Expectation], entries: Sequence[Entry], finder: Scores, records: Records
) -> list[Answered]:
    """Every expectation with the verdicts on its comparisons, corrected over all of them, tested or not.

    What was declared in time is corrected over itself alone: a declaration that comes late must not undo it.
    """
    by_label = {entry.label: entry for entry in entries}
    declared = [one for expectation in expectations for one in expectation.comparisons]
    tested = [replace(_tested(one, by_label, finder), known=records.known.get(one.digest)) for one in declared]
    judged = iter(decide(tested, [one.standing == "before" or bool(one.declared.left_out) for one in tested]))
    return [Answered(one, tuple(next(judged) for _ in one.comparisons)) for one in expectations]


def decide(tested: Sequence[Judged], in_time: Sequence[bool] | None = None) -> list[Judged]:
    """The verdicts on a family of comparisons; what has no p value is a member of it all the same.

    in_time: which of them are a family by themselves; the others are corrected over all.
    """
    p = np.array([1.0 if one.p is None else one.p for one in tested])
    early = np.ones(len(p), dtype=bool) if in_time is None else np.array(in_time, dtype=bool)
    corrected, family = holm(p), np.where(early, early.sum(), len(p))
    corrected[early] = holm(p[early])
    return [
        one if one.p is None else _decided(one, float(of), int(size))
        for one, of, size in zip(tested, corrected, family, strict=True)
    ]


def _tested(one: Declared, entries: Mapping[str, Entry], finder: Scores) -> Judged:
    """A comparison with its difference and its p value, or why it has none."""
    if one.left_out:
        return Judged(one, reason=f"left out: {one.left_out}")
    sides: list[list[list[Measured]]] = [[], []]
    notes = []
    columns = {
        task: finder.column(task, one.probe, one.protocol, one.bands, one.weights, one.partition) for task in one.tasks
    }
    if own := [task for task, column in columns.items() if not column.is_share]:
        if len(columns) > 1:
            return Judged(one, reason=f"{', '.join(own)}: the metric is no share, which has no mean over tasks")
        one = one.in_own_unit()
    for task, (side, label) in product(one.tasks, enumerate((one.ours, one.theirs))):
        column = columns[task]
        if label not in entries:
            return Judged(one, reason=f"{label} is no row of the report")
        found = finder.find(entries[label], column)
        if not found.scores:
            return Judged(one, reason=f"{label} on {task}: {found.reason}")
        notes += [f"{label} on {task}: {note}" for note in found.notes]
        sides[side].append([_more_is_better(score, column.sign) for score in found.scores])
    ours, theirs = (side[0] if len(side) == 1 else together(side) for side in sides)
    if not ours or not theirs:
        label = one.theirs if ours else one.ours
        return Judged(one, reason=f"{label}: no seed was scored on every task")
    return compared(one, ours, theirs, tuple(notes))


def compared(
    one: Declared, ours: Sequence[Measured], theirs: Sequence[Measured], notes: tuple[str, ...] = ()
) -> Judged:
    """A comparison of two sides whose scores are better where they are more, before any correction."""
    gain = difference(ours, theirs)
    seeds = tuple(sorted({score.seed for score in (*ours, *theirs) if score.seed is not None}))
    made = Judged(one, "undecided", gain, seeds=seeds, notes=notes)
    if seeds and gain.seeds == 1:
        return replace(made, reason=ONE_SEED)
    margins = (one.by,) if one.within is None else (one.within, -one.within)
    # The same predictions are the same whatever is drawn; scores that no image moves are only out of range.
    is_same = gain.value == 0 and any(np.ptp(score.replicates) > 0 for score in (*ours, *theirs))
    if not is_same and not all(has_spread(gain.value - margin, gain.parts) for margin in margins):
        return replace(made, reason=NO_SPREAD)
    if one.within is None:
        return replace(made, p=against(gain, one.by).p)
    return replace(made, p=min(alike(gain, one.within), _beyond(gain, one.within)))


def _decided(one: Judged, corrected: float, family: int) -> Judged:
    """A tested comparison with its verdict, or with what would decide it."""
    assert one.gain is not None
    gain, within = one.gain, one.declared.within
    made = replace(one, corrected=corrected)
    if corrected < 1 - LEVEL:
        if within is None:
            speaks_for = against(gain, one.declared.by).value > 0
        else:
            speaks_for = alike(gain, within) < _beyond(gain, within)
        return replace(made, verdict="held" if speaks_for else "refuted")
    if not one.seeds:
        return replace(made, reason=NO_SEEDS)
    needed = _needed(one, (1 - LEVEL) / family)
    return replace(made, needed=needed, reason=needed.reason)


def _needed(one: Judged, level: float) -> Needed:
    """The seeds that would decide a comparison if the observed difference were the true one, at its share of 5 %."""
    assert one.gain is not None
    gain, within = one.gain, one.declared.within
    if within is None:
        return seeds_needed(against(gain, one.declared.by), level, POWER)
    nearest = against(gain, within if gain.value > 0 else -within)
    # A one-sided test at a level is the two-sided one at twice of it. Inside the margins both sides have to be
    # excluded: each so often that both are often enough.
    is_inside = abs(gain.value) < within
    return seeds_needed(nearest, 2 * level, (1 + POWER) / 2 if is_inside else POWER)


def _beyond(gain: Difference, within: float) -> float:
    """The p value of the claim that a difference lies beyond a margin, on the side where it was seen."""
    if gain.value > 0:
        return one_sided(against(gain, within))
    return 1 - one_sided(against(gain, -within))


def _more_is_better(score: Measured, sign: int) -> Measured:
    """The score with its sign turned where less is better."""
    return score if sign > 0 else replace(score, value=-score.value, replicates=-score.replicates, low=None, high=None)
