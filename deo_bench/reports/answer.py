"""What is known when a report is made: rows, columns, tables, the scores behind them, and what could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from deo_bench.reports.build import Layout, build_tables
from deo_bench.reports.cells import Scores
from deo_bench.reports.declared import Expectation, Records, read_records
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.expectations import Answered, judge
from deo_bench.reports.frame import read_scores
from deo_bench.reports.searched import Searched
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.table import Table


@dataclass(frozen=True)
class Answer:
    """All that a section may use.

    scope: the columns, already narrowed to those that the report asks for; frame: every score of the rows' subjects,
    of any partition and step; finder: the scores of a row in a column, with their bootstrap on the test images; store:
    where runs lie, for what is no score (logs, maps); problems: what could not be used, a line each; sections add;
    searched: the studies of a sweep.
    """

    spec: ReportSpec
    entries: tuple[Entry, ...]
    scope: Scope
    tables: tuple[Table, ...]
    frame: pd.DataFrame
    finder: Scores
    store: Path
    problems: list[str] = field(default_factory=list)
    expectations: tuple[Expectation, ...] = ()
    searched: tuple[Searched, ...] = ()

    @cached_property
    def records(self) -> Records:
        """What the store has on record of when expectations were declared."""
        return read_records(self.store)

    @cached_property
    def answered(self) -> list[Answered]:
        """What the experiment expects, with verdicts."""
        return judge(self.expectations, self.entries, self.finder, self.records)

    @property
    def main(self) -> list[Table]:
        """The tables of each protocol's first probe: what is shown without being asked for."""
        return first_probes(self.tables)

    def used(self) -> pd.DataFrame:
        """The scores behind the tables, a row each."""
        return self.finder.used()


def make_answer(
    spec: ReportSpec,
    entries: Sequence[Entry],
    scope: Scope,
    store: Path,
    expectations: Sequence[Expectation] = (),
    searched: Sequence[Searched] = (),
) -> Answer:
    """The tables of a report, and what its other sections are made of, from what is in a store."""
    problems: list[str] = []
    frame = read_scores(store, problems, {subject for entry in entries for _, subject in entry.subjects})
    narrowed = spec.narrow(scope)
    finder = Scores(frame, entries, narrowed, problems)
    layout = Layout(
        spec.columns, spec.pick([entry.label for entry in entries]), spec.group_path(set_paths(entries)), spec.metric
    )
    tables = build_tables(finder, entries, narrowed, spec.baseline, spec.sort, layout)
    problems += finder.twins()
    return Answer(
        spec, tuple(entries), narrowed, tuple(tables), frame, finder, store, problems, tuple(expectations),
        tuple(searched),
    )  # fmt: skip


def set_paths(entries: Sequence[Entry]) -> list[str]:
    """The dotted paths that cells of a grid set, in order."""
    return list(dict.fromkeys(path for entry in entries for path in entry.settings))


def first_probes(tables: Sequence[Table]) -> list[Table]:
    """The tables of each protocol's first probe."""
    first: dict[str, str] = {}
    for table in tables:
        first.setdefault(table.protocol, table.probe)
    return [table for table in tables if first[table.protocol] == table.probe]
