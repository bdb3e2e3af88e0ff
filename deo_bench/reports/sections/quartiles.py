"""GEO-Bench's aggregation, `gb1-iqm`: normalised inter-quartile means of each data set and of all of them together.

Lacoste et al., GEO-Bench (NeurIPS 2023); its `plot_tools.py`, and GEO-Bench-2's leaderboard, which took it over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deo_bench.reports.answer import Answer
from deo_bench.reports.cells import Column
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.section import Section
from deo_bench.reports.sections.summary import MOST_ROWS, Over, alike, with_interval
from deo_bench.reports.statistics import Interquartile, interquartile
from deo_bench.reports.table import Table
from deo_bench.reports.wording import blocks_of, measured_under, metric_name, title

PROTOCOLS = {"gb1-finetune": "GEO-Bench's", "gb2-hpo16": "GEO-Bench-2's"}
"""Protocols whose published numbers are aggregated so."""

REPEATS = 100
"""Resamples of an interval, as many as GEO-Bench draws."""


def sections(answer: Answer) -> list[Section]:
    """A table for each of these protocols, whatever else stands beside the tasks in a table of its own."""
    grids = [
        _Quartiles(Over(answer, part, columns), part).grid()
        for table in answer.tables
        if table.protocol in PROTOCOLS and len(table.rows) <= MOST_ROWS
        for part, columns in alike(table)
        if any(cell.estimate for row in part.rows for cell in row.cells)
    ]
    return [Section("Inter-quartile means", tuple(grids), (), "page")] if grids else []


@dataclass(frozen=True)
class _Quartiles:
    """One table's rows, aggregated."""

    over: Over
    table: Table

    def grid(self) -> Grid:
        number, bounds = Footnotes(), self.over.bounds()
        columns = [column for column in self.over.columns if column.task in bounds]
        blocks = []
        for block, members in blocks_of(self.table.rows):
            lines = [Line(row.label, row.runs, self._slots(row.label, columns, bounds, number)) for row in members]
            blocks.append((block, tuple(lines)))
        headings = [Heading("all", "IQM"), *(Heading(column.task, f"IQM, {metric_name(column)}") for column in columns)]
        name = f"inter-quartile means, {self.table.protocol}"
        given = (name, title(self.table), self._caption(), tuple(headings), tuple(blocks), tuple(number.notes))
        return Grid(*given)

    def _slots(
        self, label: str, columns: Sequence[Column], bounds: Mapping[str, tuple[float, float]], number: Footnotes
    ) -> tuple[Slot, ...]:
        """All data sets together, then each by itself."""
        values = {task: found for task, found in self.over.signed(label).items() if len(found)}
        flat = [task for task, (low, high) in bounds.items() if not high > low]
        why = self.over.lacks(label) or (f"every score is the same on {', '.join(flat)}" if flat else "")
        slots = [Slot(HOLE, notes=number([why])) if why else _slot(interquartile(values, bounds, REPEATS), number)]
        for column in columns:
            task = column.task
            if task not in values or task in flat:
                told = f"every score is the same on {task}" if task in values else f"no score on {task}"
                slots.append(Slot(HOLE, notes=number([told])))
            else:
                slots.append(_slot(interquartile({task: values[task]}, bounds, REPEATS), number))
        return tuple(slots)

    def _caption(self) -> str:
        return (
            f"{PROTOCOLS[self.table.protocol]} aggregation: of scores with 0 and 1 being {self.over.bounds_said()}, "
            "not clipped, the mean without the lowest and the highest quarter, each rounded down: of a data set over "
            f"its seeds, of all over data sets and seeds. Intervals: 95 % of {REPEATS} resamples of the seeds within "
            f"each data set. {measured_under(self.table)}"
        )


def _slot(found: Interquartile, number: Footnotes) -> Slot:
    """The mean with its interval; notes say how many scores are in it, and warn of few seeds."""
    notes = [f"{found.kept} of {found.count} scores are in it"]
    if found.has_few_seeds:
        plain = found.kept == found.count
        notes.append(
            "fewer than 4 seeds: none is trimmed, a plain mean" if plain else "fewer than 4 seeds of a data set"
        )
    return Slot(with_interval(found.value, found.low, found.high), notes=number(notes))
