"""What an experiment declares that it expects: comparisons, and the record in the store of when they were declared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deo_bench.errors import StoreError
from deo_bench.files import read_json
from deo_bench.store.prune import EXPECTED

FOLDER = EXPECTED
"""The folder of a store in which expectations are on record."""

_SEED = re.compile(r"(?<=[0-9a-f]{12})-s-?\d+(?=\+|$)")


def row_key(subject: str) -> str:
    """What a subject of scores is, whatever its seed: the twelve hex of its recipe, or the name of its backbone."""
    return _SEED.sub("", subject)


def points(value: float) -> str:
    """`1 point`, `0.5 points`."""
    return f"{value:g} {'point' if value == 1 else 'points'}"


@dataclass(frozen=True)
class Declared:
    """One declared comparison of two rows, by their labels: a member of the family that is corrected for its number.

    tasks: one, or those whose mean is compared; by: shares (not points) that ours is better by at least; within:
    shares that the two are alike within, none where one is to be better; digest: 12 hex of what is compared, whatever
    the rows are called; left_out: why it is not made, where data or weights of it are missing; is_share: of a metric
    that is a share, else by and within are in its own unit.
    """

    ours: str
    theirs: str
    tasks: tuple[str, ...]
    protocol: str
    probe: str
    bands: str
    weights: str = "student"
    partition: str = "default"
    by: float = 0.0
    within: float | None = None
    digest: str = ""
    left_out: str = ""
    is_share: bool = True

    def margin(self, value: float) -> str:
        """A margin in words: in points, or in the metric's own unit."""
        return points(100 * value) if self.is_share else f"{value:g} in the metric's unit"

    def in_own_unit(self) -> Declared:
        """The same of a metric that is no share: what a file calls points is then so much in its unit."""
        within = None if self.within is None else 100 * self.within
        return replace(self, by=100 * self.by, within=within, is_share=False)


@dataclass(frozen=True)
class Expectation:
    """One `[[expect]]`: what it says in words, where it comes from, and its comparisons."""

    words: str
    comparisons: tuple[Declared, ...]
    why: str = ""


@dataclass(frozen=True)
class Known:
    """What was there of a comparison's scores when it was declared.

    differences: tasks on which both sides had a score, so that the difference could be known; scores: that were
    there, of so many; seeds: that were planned then, of both sides.
    """

    differences: int
    scores: int
    of: int
    seeds: tuple[int, ...] = ()


@dataclass
class Records:
    """All expectations that are on record in a store.

    known: by a comparison's digest, the first that was known of it as far as records tell; said: every record that can
    be read; problems: those that cannot.
    """

    known: dict[str, Known] = field(default_factory=dict)
    said: list[Mapping[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_records(store: Path) -> Records:
    """Every expectation on record; what is torn or foreign is named and not used."""
    found = Records()
    for path in sorted((store / FOLDER).glob("[0-9a-f]*.json")):
        try:
            record = read_record(path)
        except StoreError as error:
            found.problems.append(f"{FOLDER}/{path.name}: not used, {str(error).removeprefix(f'{path}: ')}")
            continue
        found.said.append(record)
        for one in record["comparisons"]:
            known = _known(one)
            first = found.known.get(one["digest"], known)
            # Several experiments may declare one comparison: what was known the least was known first.
            found.known[one["digest"]] = min(first, known, key=lambda each: (each.differences, each.scores))
    return found


def read_record(path: Path) -> dict[str, Any]:
    """One expectation on record; a StoreError where it is torn, foreign or not what its name says."""
    record = read_json(path)
    try:
        told = [[one["digest"], *one["rows"], *one["tasks"]] for one in record["comparisons"] if _known(one)]
        is_whole = bool(told) and all(isinstance(each, str) for names in told for each in names)
        is_whole = is_whole and f"{record['digest']}.json" == path.name and isinstance(record["words"], str)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        is_whole = False
    if not is_whole:
        raise StoreError(f"{path}: it is no expectation, or not the one that its name says")
    return dict(record)


def _known(one: Mapping[str, Any]) -> Known:
    counts = [one["differences_there"], one["scores_there"], one["scores"]]
    if any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("counts are whole numbers")
    return Known(counts[0], counts[1], counts[2], _seeds(one["seeds"]))


def _seeds(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
