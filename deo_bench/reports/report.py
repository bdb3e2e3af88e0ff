"""A report: what is known, and the sections that say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.declared import Expectation
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.searched import Searched
from deo_bench.reports.section import Section
from deo_bench.reports.sections import sections_of
from deo_bench.reports.spec import ReportSpec


@dataclass(frozen=True)
class Report:
    """What every format draws."""

    answer: Answer
    sections: tuple[Section, ...]

    @property
    def spec(self) -> ReportSpec:
        """What was asked for."""
        return self.answer.spec

    @property
    def problems(self) -> list[str]:
        """What could not be used, or looks wrong."""
        return self.answer.problems


def make_report(
    spec: ReportSpec,
    entries: Sequence[Entry],
    scope: Scope,
    store: Path,
    expectations: Sequence[Expectation] = (),
    searched: Sequence[Searched] = (),
) -> Report:
    """The report of an experiment's rows and columns from what is in a store; searched: the studies of a sweep."""
    answer = make_answer(spec, entries, scope, store, expectations, searched)
    return Report(answer, tuple(sections_of(answer)))
