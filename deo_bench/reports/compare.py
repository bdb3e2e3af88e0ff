"""Two sides, score by score: the difference where both were scored alike, and the reason where they were not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from deo_bench.reports.cells import Column, Scores
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.statistics import Difference, Estimate, Measured, difference, mean_over_seeds

KEY = ("task", "protocol", "bands", "weights", "step", "partition", "probe")
"""What is said of a score; two that agree in it and in their digest were made alike."""


@dataclass(frozen=True)
class Compared:
    """A score of both sides: their means over the runs that the difference is over, A minus B, and what it rests on.

    where: by the names in KEY; seeds: those in common, none where the difference is not paired by seed.
    """

    where: dict[str, Any]
    column: Column
    a: Estimate
    b: Estimate
    difference: Difference
    seeds: tuple[int, ...]
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def better(self) -> str:
        """`A` or `B` where the interval excludes zero, else nothing."""
        if not self.difference.excludes_zero:
            return ""
        return "A" if self.column.sign * self.difference.value > 0 else "B"


@dataclass
class Comparison:
    """All that two sides were both scored on, what only one was, and scores that could not be used."""

    compared: list[Compared] = field(default_factory=list)
    apart: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def compare(frame: pd.DataFrame, a: Entry, b: Entry, last: int | None = None) -> Comparison:
    """The scores of two rows held against each other, of a frame as `read_scores` gives it.

    Only scores with one digest are: the same protocol, probe, bands, weights, step, partition, data and versions.
    last: the last step of all runs of both; what was scored of it, too, is the score of the last weights once more.
    """
    frame = _once(frame, last)
    made = Comparison()
    ours, theirs = (frame[frame["subject"].isin([subject for _, subject in side.subjects])] for side in (a, b))
    digests = [{where: set(rows["digest"]) for where, rows in _groups(side)} for side in (ours, theirs)]
    for key in dict.fromkeys([*digests[0], *digests[1]]):
        where = dict(zip(KEY, (None if value == "" else value for value in key), strict=True))
        common = digests[0].get(key, set()) & digests[1].get(key, set())
        for digest in sorted(common):
            rows = pd.concat([ours[ours["digest"] == digest], theirs[theirs["digest"] == digest]])
            _add(made, rows, a, b, where, digest)
        if not common:
            is_ours = key in digests[0]
            made.apart.append((where, _why(where, ours, theirs) if is_ours else _why(where, theirs, ours, "A", "B")))
    return made


def _once(frame: pd.DataFrame, last: int | None) -> pd.DataFrame:
    """The scores without those of the last step that are there without a step, too."""
    if last is None or frame.empty:
        return frame
    about = [key for key in ("subject", *KEY, "task_content", "band_labels") if key != "step"]
    of_last = frame["step"].eq(last).fillna(value=False).astype(bool)
    ends = {tuple(row) for row in frame.loc[frame["step"].isna(), about].to_numpy()}
    is_there = pd.Series([tuple(row) in ends for row in frame[about].to_numpy()], index=frame.index)
    return frame[~(of_last & is_there)]


def _groups(rows: pd.DataFrame) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Rows by KEY, in order of the names; a step that there is none of is empty."""
    keyed = rows.assign(step=[("" if pd.isna(step) else int(step)) for step in rows["step"]])
    keyed = keyed.sort_values(["task", "protocol", "bands", "weights", "partition", "probe"], kind="stable")
    yield from keyed.groupby(list(KEY), sort=False)


def _add(made: Comparison, rows: pd.DataFrame, a: Entry, b: Entry, where: dict[str, Any], digest: str) -> None:
    scope = Scope([where["task"]], {where["protocol"]: [where["probe"]]}, [where["bands"]], [where["weights"]])
    # A table is of the default partition; here each stands by itself, and the digest has told them apart already.
    scores = Scores(rows.drop_duplicates("path").assign(partition="default"), [a, b], scope)
    column = scores.column(where["task"], where["probe"], where["protocol"], where["bands"], where["weights"])
    found = [scores.find(side, column) for side in (a, b)]
    made.problems += scores.problems
    for name, side in zip("AB", found, strict=True):
        if not side.scores:
            made.apart.append((where, f"{name}: {side.reason}"))
            return
    gain = difference(found[0].scores, found[1].scores)
    common = {score.seed for score in found[0].scores} & {score.seed for score in found[1].scores}
    seeds = tuple(sorted(seed for seed in common if seed is not None))
    means = [mean_over_seeds(_of(side.scores, seeds)) for side in found]
    notes = tuple(f"{name}: {note}" for name, side in zip("AB", found, strict=True) for note in side.notes)
    made.compared.append(Compared(where, column, means[0], means[1], gain, seeds, digest, notes))


def _of(scores: tuple[Measured, ...], seeds: tuple[int, ...]) -> list[Measured]:
    return [score for score in scores if not seeds or score.seed in seeds]


def _why(where: dict[str, Any], mine: pd.DataFrame, others: pd.DataFrame, name: str = "B", own: str = "A") -> str:
    """Why a score of one side (`own`) has no fellow among those of the other (`name`)."""
    rows = others[others["task"] == where["task"]]
    if rows.empty:
        return f"{name} is not scored on it"
    for key, told in (
        ("protocol", "under {}: protocols are never mixed"),
        ("bands", "on bands {}"),
        ("weights", "with {} weights"),
        ("partition", "with partition {}"),
        ("probe", "by {}"),
    ):
        same = rows[rows[key] == where[key]]
        if same.empty:
            return f"{name} is scored {told.format(', '.join(dict.fromkeys(rows[key])))}"
        rows = same
    step = where["step"]
    rows = rows[rows["step"].isna()] if step is None else rows[rows["step"] == step]
    if rows.empty:
        return f"{name} has no score of {'its last step' if step is None else f'step {step}'}"
    ours = mine[(mine["task"] == where["task"]) & (mine["protocol"] == where["protocol"])]
    for key, told in (("task_content", "data"), ("band_labels", "band labels")):
        if not set(rows[key]) & set(ours[key]):
            return f"{own} and {name} are scored on other {told}"
    return f"{own} and {name} are scored by other versions"
