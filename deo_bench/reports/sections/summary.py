"""Rows over all tasks at once: means, ranks, normalised inter-quartile means, and how often a run is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from deo_bench.reports.answer import Answer
from deo_bench.reports.build import baseline
from deo_bench.reports.cells import Column
from deo_bench.reports.entries import Entry
from deo_bench.reports.figures.ranks import rank_diagram
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.leaders import Leaders
from deo_bench.reports.section import Drawing, Section
from deo_bench.reports.sections.scores import figure_name
from deo_bench.reports.statistics import (
    Measured,
    Ranking,
    interquartile,
    mean_over_seeds,
    observed_bounds,
    probability_of_improvement,
    rank_rows,
    together,
)
from deo_bench.reports.table import Cell, Table
from deo_bench.reports.wording import blocks_of, estimate_text, measured_under, metric_word, title

MOST_ROWS = 200
"""More rows than this nobody compares over all tasks on a page, and their bootstraps would take minutes."""
_LEAST_DRAWN = 3
_LEAST_MEANT = 2

Values = Mapping[str, Sequence[float]]


def sections(answer: Answer) -> list[Section]:
    """A table for each main one with two tasks or more, and a diagram of ranks where rows and tasks suffice."""
    parts: list[Grid | Drawing] = []
    notes: dict[str, None] = {}
    for table in answer.main:
        if len(table.rows) > MOST_ROWS:
            notes[f"Left out: {len(table.rows):,} rows are too many to compare over all tasks; choose some."] = None
            continue
        for part, columns in alike(table):
            made = Over(answer, part, columns)
            if len(made.columns) < 2 or len(made.whole) < 2:
                continue
            parts += [*made.drawings(figure_name("ranks", part, _parts(answer))), made.grid()]
    return [Section("Over all tasks", tuple(parts), tuple(notes), "page")] if parts or notes else []


def alike(table: Table) -> list[tuple[Table, list[Column]]]:
    """A table's columns that differ in nothing but the task, and the table as one of these only."""
    groups: dict[tuple[object, ...], list[Column]] = {}
    for column in table.columns:
        groups.setdefault(tuple(getattr(column, axis) for axis in table.varying), []).append(column)
    made = []
    for values, columns in groups.items():
        said: dict[str, Any] = {
            axis: "last" if value is None else str(value) for axis, value in zip(table.varying, values, strict=True)
        }
        made.append((replace(table, columns=tuple(columns), **said), columns))
    return made


def _parts(answer: Answer) -> list[Table]:
    return [part for table in answer.main for part, _ in alike(table)]


@dataclass
class Over:
    """One table's rows over its tasks: those tasks that any cell is scored on.

    scores: the scores of each row by task, of the rows by label; whole: rows with scores on every task.
    """

    answer: Answer
    table: Table
    columns: list[Column]
    scores: dict[str, dict[str, Sequence[Measured]]] = field(init=False)
    whole: list[Entry] = field(init=False)

    def __post_init__(self) -> None:
        titles = {row.label for row in self.table.rows}
        self.entries = {e.title: e for e in self.answer.entries if e.title in titles}
        found = {
            label: {c.task: self.answer.finder.find(entry, c).scores for c in self.columns}
            for label, entry in self.entries.items()
        }
        trained = [label for label, entry in self.entries.items() if entry.kind == "cell"] or list(self.entries)
        self.columns = [c for c in self.columns if any(found[label][c.task] for label in trained)]
        tasks = [column.task for column in self.columns]
        self.scores = {label: {t: scores[t] for t in tasks if scores[t]} for label, scores in found.items()}
        self.whole = [entry for label, entry in self.entries.items() if len(self.scores[label]) == len(tasks)]
        self.base = self._base()

    def _base(self) -> Entry | None:
        if self.answer.spec.baseline is None:
            return None
        found = baseline(self.answer.entries, self.answer.spec.baseline)
        return found if found in self.whole else None

    @property
    def _is_mixed(self) -> bool:
        """Whether more is better on some tasks and less on others, of those that have a mean."""
        return len({column.sign for column in self._shares}) > 1

    @property
    def _shares(self) -> list[Column]:
        """The columns that have a mean: what is in different units has none."""
        return [column for column in self.columns if column.is_share]

    @property
    def _left_out(self) -> str:
        """What is in no mean, and why."""
        told = [f"{c.task} ({metric_word(c.metric, c.probe)})" for c in self.columns if not c.is_share]
        return f"the mean leaves out what is no share: {', '.join(told)}" if told else ""

    @property
    def ranked(self) -> list[Entry]:
        """The rows that are ranked: the cells, or where there are not two of them baselines too."""
        cells = [entry for entry in self.whole if entry.kind == "cell"]
        return cells if len(cells) > 1 else [entry for entry in self.whole if entry.kind in ("cell", "baseline")]

    def ranking(self) -> Ranking | None:
        """Average ranks of the means over seeds; none of fewer than two rows."""
        if len(self.ranked) < 2:
            return None
        means = {
            e.title: [mean_over_seeds(self.scores[e.title][c.task]).value for c in self.columns] for e in self.ranked
        }
        return rank_rows(means, [column.sign for column in self.columns])

    def drawings(self, name: str) -> list[Drawing]:
        """The diagram of ranks, where there are three rows and tasks at the least."""
        ranking = self.ranking()
        if ranking is None or len(ranking.ranks) < _LEAST_DRAWN or ranking.tasks < _LEAST_DRAWN:
            return []
        teachers = {entry.title: tuple(entry.teachers) for entry in self.ranked}
        words = f"{_of_ranks(ranking)} {measured_under(self.table)}"
        return [Drawing(name, partial(rank_diagram, ranking, teachers), words)]

    def grid(self) -> Grid:
        """Every row over all tasks."""
        number = Footnotes()
        ranking = self.ranking()
        means, bounds = self._means(), self.bounds()
        blocks = []
        for block, members in blocks_of(self.table.rows):
            lines = [
                Line(row.label, row.runs, (
                    self._mean(row.label, means, number), self._rank(row.label, ranking, number),
                    self._interquartile(row.label, bounds, number), *self._improvement(row.label, number),
                ))
                for row in members
            ]  # fmt: skip
            blocks.append((block, tuple(lines)))
        headings = [
            Heading("mean", "percent"), Heading("average rank", f"of {len(ranking.ranks)}" if ranking else ""),
            Heading("IQM", "normalised"),
        ]  # fmt: skip
        if self.base:
            headings.append(Heading("P(better)", "than baseline"))
        return Grid(
            "over tasks", title(self.table), self._caption(ranking), tuple(headings), tuple(blocks), tuple(number.notes)
        )

    def _means(self) -> dict[str, Cell]:
        """The mean over tasks of each row with scores on all of them, led by what is better than every other cell."""
        if self._is_mixed or len(self._shares) < _LEAST_MEANT:
            return {}
        runs = {e.title: together([self.scores[e.title][c.task] for c in self._shares]) for e in self.whole}
        runs = {label: found for label, found in runs.items() if found}
        cells = {label: [Cell(mean_over_seeds(found))] for label, found in runs.items()}
        leaders = Leaders()
        trained = {label: found for label, found in runs.items() if self.entries[label].kind == "cell"}
        leaders.add(trained, self._shares[0].sign)
        leaders.mark(cells)
        return {label: found[0] for label, found in cells.items()}

    def lacks(self, label: str) -> str:
        """Which tasks a row has no score on, in words; nothing where it has all."""
        lost = [column.task for column in self.columns if column.task not in self.scores[label]]
        return f"no score on {', '.join(lost)}" if lost else ""

    def _mean(self, label: str, means: Mapping[str, Cell], number: Footnotes) -> Slot:
        cell = means.get(label)
        if cell is None or cell.estimate is None:
            mixed = "more is better on some tasks, less on others: no mean"
            why = mixed if self._is_mixed else "no seed has scores on every task"
            if len(self._shares) < _LEAST_MEANT:
                why = f"{self._left_out}; too few are left"
            return Slot(HOLE, notes=number([self.lacks(label) or why]))
        seeds, runs = cell.estimate.seeds, len(self.entries[label].subjects)
        notes = [f"{seeds} of {runs} seeds have scores on every task"] if seeds < runs else []
        notes += [self._left_out] if self._left_out else []
        return Slot(estimate_text(cell.estimate), cell.is_best, notes=number(notes), is_second=cell.is_second)

    def _rank(self, label: str, ranking: Ranking | None, number: Footnotes) -> Slot:
        if ranking and label in ranking.ranks:
            return Slot(f"{ranking.ranks[label]:.2f}")
        why = "nothing to rank it among" if ranking is None else "not ranked: no cell of the experiment"
        return Slot(HOLE, notes=number([self.lacks(label) or why]))

    def signed(self, label: str) -> Values:
        """The runs' values by task, so that more is better."""
        return {c.task: [c.sign * score.value for score in self.scores[label].get(c.task, ())] for c in self.columns}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """What becomes 0 and 1 by task: as the report says, else the least and the greatest of cells and baselines."""
        rows = [self.signed(e.title) for e in self.entries.values() if e.kind in ("cell", "baseline")]
        bounds = observed_bounds({task: values for task, values in row.items() if values} for row in rows)
        said = self._said()
        for column in self.columns:
            if column.task in said:
                low, high = sorted(column.sign * value for value in said[column.task])
                bounds[column.task] = low, high
        return bounds

    def _said(self) -> dict[str, tuple[float, float]]:
        return self.answer.spec.scale([column.task for column in self.columns])

    def _interquartile(self, label: str, bounds: Mapping[str, tuple[float, float]], number: Footnotes) -> Slot:
        flat = [task for task, (low, high) in bounds.items() if not high > low]
        why = self.lacks(label) or (f"every score is the same on {', '.join(flat)}" if flat else "")
        if why:
            return Slot(HOLE, notes=number([why]))
        found = interquartile(self.signed(label), bounds)
        notes = ["one run: no interval over seeds"] if found.count == len(self.columns) else []
        if found.kept == found.count:
            notes.append("so few scores that none is trimmed: a plain mean")
        elif notes == [] and found.has_few_seeds:
            notes.append("fewer than 4 seeds a task: whole tasks are trimmed rather than seeds that stand out")
        return Slot(with_interval(found.value, found.low, found.high), notes=number(notes))

    def _improvement(self, label: str, number: Footnotes) -> list[Slot]:
        if self.base is None:
            return []
        if label == self.base.title:
            return [Slot(HOLE, notes=number(["the row that others are held against"]))]
        if why := self.lacks(label):
            return [Slot(HOLE, notes=number([why]))]
        ours, others = ([self.scores[side][c.task] for c in self.columns] for side in (label, self.base.title))
        found = probability_of_improvement(ours, others, [column.sign for column in self.columns])
        notes = ["one run on a side: its seeds are not in the interval"] if found.seeds == 1 else []
        if found.seeds > 1 and not found.high > found.low:
            notes.append("on each task all runs of one side are better: resampling them shows no spread")
        return [Slot(with_interval(found.value, found.low, found.high), notes=number(notes))]

    def _caption(self, ranking: Ranking | None) -> str:
        count = len(self.columns)
        sentences = [f"Over {count} tasks ({', '.join(c.task for c in self.columns)})."]
        sentences.append(
            "Mean: percent ± half of a 95 % interval over seeds and test images; it speaks of these tasks alone."
        )
        if len({column.metric for column in self._shares}) > 1:
            sentences.append(
                "It adds up different metrics, whose points are not worth the same: a summary to look at, no score."
            )
        sentences.append(_BOLD)
        sentences += [_of_ranks(ranking)] if ranking else []
        sentences.append(
            f"IQM: the inter-quartile mean of the scores of all tasks and seeds, 0 and 1 being {self.bounds_said()}, "
            "without the lowest and the highest quarter; its interval is from resampling seeds within each task, and "
            "too narrow where these are few."
        )
        if self.base:
            sentences.append(
                f"P(better): how often a run of the row is better than one of {self.base.title!r}, the mean over "
                "tasks, seeds unpaired; 0.5 is a toss-up."
            )
        return " ".join([*sentences, measured_under(self.table)])

    def bounds_said(self) -> str:
        """What becomes 0 and 1, in words."""
        said = list(self._said())
        observed = "the least and the greatest score of this table's cells and baselines on a task"
        if not said:
            return f"{observed}, so that another table's are not comparable"
        told = "the bounds that the report gives"
        return told if len(said) == len(self.columns) else f"{told} ({', '.join(said)}), else {observed}"


_BOLD = (
    "Bold: a mean better than that of every other cell (each p < .05); underlined: second, and better than every cell "
    "below it likewise."
)


def _of_ranks(ranking: Ranking) -> str:
    """What may be said of ranks: Friedman's test and the critical difference."""
    told = "p < .001" if ranking.p < 0.001 else f"p = {ranking.p:.3f}".replace("0.", ".", 1)
    return (
        f"Ranks of the means over seeds, 1 is best: Friedman's test {told} over {ranking.tasks} tasks; average ranks "
        f"closer than {ranking.critical:.2f} (Nemenyi's critical difference at 5 %) are not told apart. Tasks are "
        "the sample: seeds and test images do not count in it."
    )


def with_interval(value: float, low: float, high: float) -> str:
    """`0.71 [0.62, 0.80]`; the value alone where there is no interval."""
    return f"{value:.2f} [{low:.2f}, {high:.2f}]" if high > low else f"{value:.2f}"
