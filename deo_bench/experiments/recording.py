"""Puts expectations on record in a store before the first step: once, with what of their scores was there by then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from deo_bench.errors import StoreError
from deo_bench.experiments.expectations import Rows, bands_scored, identity_of, scores_wanted
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.subjects import Row
from deo_bench.files import one_at_a_time, write_json
from deo_bench.recipe import digest
from deo_bench.reports.declared import FOLDER, Declared, Expectation, read_record, row_key

Score = tuple[str, str]
"""A subject and the name of a score of it."""


def put_on_record(plan: Plan, expectations: Sequence[Expectation]) -> list[str]:
    """Write each expectation into the store, with how many of its scores are there now; what is worth saying.

    What is on record is never overwritten, so that the first to declare counts; a torn record is written anew.
    """
    told, counts = [], _Counts(plan)
    for one in expectations:
        made = [each for each in one.comparisons if not each.left_out]
        name = digest(sorted(each.digest for each in made))
        path = plan.store.root / FOLDER / f"{name}.json"
        if not made or _is_on_record(path):
            continue
        with one_at_a_time(path.parent / "record"):
            if _is_on_record(path):
                continue
            if path.exists():
                told.append(f"{path}: torn or foreign; what it held is put on record again, as of now")
            comparisons, scores = _comparisons(plan, made, counts)
            words = {"words": one.words, "why": one.why, "experiment": plan.experiment.name}
            there = {"scores": len(scores), "scores_there": counts.there(scores)}
            write_json(path, {"digest": name, **words, **there, "comparisons": comparisons})
    return told


def _is_on_record(path: Path) -> bool:
    try:
        return path.exists() and bool(read_record(path))
    except StoreError:
        return False


def _comparisons(plan: Plan, made: Sequence[Declared], counts: _Counts) -> tuple[list[dict[str, Any]], set[Score]]:
    """What is recorded of each comparison, and all scores that they are tested on."""
    rows = {row.label: row for row in plan.rows}
    found, scores = [], set()
    for one in made:
        pair = [rows[one.ours], rows[one.theirs]]
        sides = [[counts.scores(row, task, one) for row in pair] for task in one.tasks]
        wanted = {score for by_row in sides for side in by_row for score in side}
        scores |= wanted
        record = asdict(one)
        del record["left_out"], record["is_share"]
        record["rows"] = [identity_of(row) for row in pair]
        record["seeds"] = sorted({seed for row in pair for seed, _ in row.subjects if seed is not None})
        record |= {"scores": len(wanted), "scores_there": counts.there(wanted)}
        record["differences_there"] = sum(all(counts.there(side) for side in by_row) for by_row in sides)
        found.append(record)
    return found, scores


class _Counts:
    """Which scores of a comparison are there: of any seed of its rows, not only of those that are planned."""

    def __init__(self, plan: Plan) -> None:
        self._store, self._rows = plan.store, Rows(plan, None)
        self._there: dict[Score, bool] = {}

    @cached_property
    def _subjects(self) -> dict[str, list[str]]:
        """What the store holds, by what it is whatever its seed."""
        found: dict[str, list[str]] = {}
        backbones = sorted((self._store.root / "backbones").glob("*"))
        for name in [*(run.name for run in self._store.runs()), *(f"backbones/{path.name}" for path in backbones)]:
            found.setdefault(row_key(name), []).append(name)
        return found

    def scores(self, row: Row, task: str, one: Declared) -> set[Score]:
        """Every score of a row on a task that a comparison is tested on, or would be with more seeds."""
        have = bands_scored(self._rows, row.label, task, one)
        wanted = [
            request
            for request in scores_wanted(self._rows, row, task, one)
            if have is None or request.bands == one.bands
        ]
        subjects = [*(request.subject for request in wanted), *self._subjects.get(identity_of(row), ())]
        return set(product(subjects, {request.stem for request in wanted}))

    def there(self, scores: Iterable[Score]) -> int:
        """How many of them are in the store."""
        for each in scores:
            if each not in self._there:
                self._there[each] = self._store.subject(each[0]).has_score(each[1])
        return sum(self._there[each] for each in scores)
