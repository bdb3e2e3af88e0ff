"""The table of a sweep's finalists: each aim at the trial's seed, with fresh seeds, the gap, and on *report*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deo_bench.reports.answer import Answer
from deo_bench.reports.cells import Column
from deo_bench.reports.found import Held, columns_of, held
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.rows import has_final, is_held, row_name, trial_name, unheld
from deo_bench.reports.searched import Aim, Searched, Tried
from deo_bench.reports.statistics.interval import NO_SPREAD
from deo_bench.reports.trials import reached, states_of, value_of
from deo_bench.reports.wording import begun, difference_text, estimate_text, number, unresolved_text

BEYOND = "beyond the spread of its seeds: more than one further seed would be off, 19 times of 20"
ALIKE = "the seeds agree to the digit: their spread is not known from so few"
WORDS = {"pruned": "pruned", "failed": "failed", "running": "under way"}
_NO_VALUE = {
    "running": "its trial is under way",
    "pruned": "its trial was pruned",
    "failed": "its trial failed",
    "complete": "its trial has no value",
}

Studies = Sequence[tuple[Searched, Mapping[str, tuple[Held, ...]]]]
"""Each with its finalists by the label of their rows."""


def counted(study: Searched) -> str:
    """`40 of 40 trials made (27 finished, 11 pruned, 2 failed; 1 cost nothing, since its run was there already)`."""
    count = states_of(study)
    others = [f"{count[state]} {word}" for state, word in WORDS.items() if count[state]]
    free = sum(trial.cost_nothing for trial in study.trials)
    nothing = f"; {free} cost nothing, since {'its run was' if free == 1 else 'their runs were'} there already"
    told = ", ".join([f"{count['complete']} finished", *others])
    return f"{sum(count.values())} of {study.wanted} trials made ({told}{nothing if free else ''})"


def grids(answer: Answer) -> list[Grid]:
    """A table for all studies that share their aims, in a block each."""
    alike: dict[tuple[Aim, ...], list[tuple[Searched, Mapping[str, tuple[Held, ...]]]]] = {}
    for study, rows in zip(answer.searched, held(answer), strict=True):
        if study.trials:
            alike.setdefault(study.aims, []).append((study, rows if is_held(study) else {}))
    return [_grid(answer, aims, studies) for aims, studies in alike.items()]


def _grid(answer: Answer, aims: Sequence[Aim], studies: Studies) -> Grid:
    notes, has_finalists = Footnotes(), any(rows for _, rows in studies)
    columns = [_Column(answer, aim, place, studies) for place, aim in enumerate(aims)]
    blocks = []
    for study, rows in studies:
        numbers = {finalist.row: finalist.number for finalist in study.finalists}
        lines = [
            Line(
                row_name(study, row, numbers[row]),
                max((one.fresh.seeds for one in each if one.fresh), default=0),
                tuple(slot for column in columns for slot in column.slots(each, notes)),
            )
            for row, each in rows.items()
        ]
        if not has_final(study):
            lines += _unheld(study, columns, notes, has_default=bool(rows))
        blocks.append((study.cell, tuple(lines)))
    headings = tuple(heading for column in columns for heading in column.headings(len(aims) > 1))
    words = _caption(aims, columns, has_finalists)
    return Grid("found", "", words, headings, tuple(blocks), tuple(notes.notes))


class _Column:
    """An aim's columns: at the trial's seed, and where there are finalists fresh seeds, the gap, *report*."""

    def __init__(self, answer: Answer, aim: Aim, place: int, studies: Studies) -> None:
        self.aim, self.place = aim, place
        told = self.told = [each[place] for _, rows in studies for each in rows.values()]
        self.has_finalists = bool(told)
        self.has_report = self.has_finalists and any(columns_of(answer, study, aim) for study, _ in studies)
        self.has_against = any(one.against for one in told)
        values = [one.searched for one in told] + [one.fresh.value for one in told if one.fresh]
        values += [value for study, rows in studies if not rows for _, value in reached(study, place)]
        self.beside = tuple(value for value in values if value is not None)

    @property
    def fresh_seeds(self) -> list[int]:
        """How many fresh seeds each row has on *select*."""
        return [one.fresh.seeds for one in self.told if one.fresh]

    @property
    def report_seeds(self) -> list[int]:
        """How many runs each row has on *report*."""
        return [one.reported.seeds for one in self.told if one.reported]

    def headings(self, is_one_of_many: bool) -> list[Heading]:
        """What stands above them; the aim's name where there are several, else the caption has it."""
        remark = "less is better" if self.aim.direction == "min" else ""
        told = [("own seed", "select")]
        told += [("fresh", "select"), ("gap", "select")] if self.has_finalists else []
        told += [("fresh", "report")] if self.has_report else []
        told += [("to default", "report")] if self.has_against else []
        if is_one_of_many:
            return [Heading(self.aim.name, metric, where=where, remark=remark) for metric, where in told]
        return [Heading(where, metric, remark=remark) for metric, where in told]

    def text(self, value: float, signed: bool = False) -> str:
        """A number, with as many decimals as its column."""
        return number(value, signed, self.aim.is_share, self.beside)

    def slots(self, each: Sequence[Held], notes: Footnotes) -> list[Slot]:
        """A finalist's."""
        one = each[self.place]
        has_value = one.searched is not None
        made = [
            Slot(self.text(one.searched or 0.0)) if has_value else Slot(HOLE, notes=notes(["its trial has no value"]))
        ]
        made += [self._fresh(one, notes), self._gap(one, notes)]
        made += [self._reported(one, notes)] if self.has_report else []
        return made + ([self._against(one, notes)] if self.has_against else [])

    def holes(self, reason: str, notes: Footnotes) -> list[Slot]:
        """As many empty ones as there are columns after the first."""
        return [Slot(HOLE, notes=notes([reason])) for _ in self.headings(False)[1:]]

    def _fresh(self, one: Held, notes: Footnotes) -> Slot:
        if one.fresh is None:
            return Slot(HOLE, notes=notes(["fresh seeds are not scored yet"]))
        if one.fresh.seeds == 1:
            return Slot(self.text(one.fresh.value), notes=notes(["one seed: how much seeds vary is not known"]))
        if one.fresh.high - one.fresh.low <= NO_SPREAD * abs(one.fresh.value):
            # what a recipe costs is the same with every seed: that is no luck
            return Slot(self.text(one.fresh.value), notes=notes([ALIKE] if self.aim.tasks else []))
        if self.aim.is_share:
            return Slot(estimate_text(one.fresh))
        return Slot(f"{self.text(one.fresh.value)} ±{self.text((one.fresh.high - one.fresh.low) / 2)}")

    def _gap(self, one: Held, notes: Footnotes) -> Slot:
        if one.gap is None:
            return Slot(HOLE, notes=notes(["it takes both values"]))
        return Slot(self.text(one.gap, True), notes=notes([BEYOND] if one.is_beyond else []))

    def _reported(self, one: Held, notes: Footnotes) -> Slot:
        if one.reported is None:
            return Slot(HOLE, notes=notes([one.reason or "no score"]))
        return Slot(estimate_text(one.reported), notes=notes(one.notes))

    def _against(self, one: Held, notes: Footnotes) -> Slot:
        if one.against is None:
            return Slot(HOLE)
        is_single = one.against.seeds == 1
        marks = notes(["one seed: the interval is over test images only"] if is_single else [])
        remark = unresolved_text(1.0 if one.corrected is None else one.corrected)
        return Slot(difference_text(one.against), is_unresolved=not one.is_resolved, notes=marks, remark=remark)


def _unheld(study: Searched, columns: Sequence[_Column], notes: Footnotes, has_default: bool) -> list[Line]:
    """Of a study without finalists the recipe as it stands and the best so far, held against nothing yet."""
    lines = [_unheld_line(trial, columns, notes) for trial in unheld(study, has_default)]
    if lines or has_default:
        return lines
    holes = [slot for column in columns for slot in [Slot(HOLE), *column.holes("no trial has a value", notes)]]
    return [Line("no trial has a value", None, tuple(holes))]


def _unheld_line(trial: Tried, columns: Sequence[_Column], notes: Footnotes) -> Line:
    slots: list[Slot] = []
    for column in columns:
        value = value_of(trial, column.place)
        is_there = value is not None
        slots.append(Slot(column.text(value or 0.0)) if is_there else Slot(HOLE, notes=notes([_NO_VALUE[trial.state]])))
        slots += column.holes("not run with fresh seeds yet", notes)
    return Line(trial_name(trial), None, tuple(slots))


def _caption(aims: Sequence[Aim], columns: Sequence[_Column], has_finalists: bool) -> str:
    """What it takes to read the table, in a few lines of a terminal; `notes_of` say the rest."""
    unit = "Percent." if all(aim.is_share for aim in aims) else "Shares in percent, the rest in its own unit."
    sentences = [unit, *map(_aim_told, aims)]
    if not has_finalists:
        sentences.append("Own seed: the trial's, which is the winner's luck too; nothing was run with fresh seeds yet.")
        return " ".join(sentences)
    sentences.append(
        "Own seed: the trial's, by which it was chosen. Fresh: seeds that no trial had"
        f"{_over([one.fresh_seeds for one in columns])}. Gap: fresh minus own."
    )
    if any(one.has_report for one in columns):
        images = _over_images([one.report_seeds for one in columns])
        sentences.append(f"Report: test images that the search never saw, {images}.")
    if any(one.has_against for one in columns):
        sentences.append("To default: paired.")
    return " ".join(sentences)


def _over(counts: Sequence[Sequence[int]]) -> str:
    """What the intervals on *select* are over, where there are any."""
    many = max((count for told in counts for count in told), default=0)
    return ", ± half of a 95 % t interval over them" if many > 1 else ", one a row: how much seeds vary is not known"


def _over_images(counts: Sequence[Sequence[int]]) -> str:
    """What the intervals on *report* are over: seeds too where a row has several, as the tables of scores say it."""
    told = [count for each in counts for count in each]
    if max(told, default=0) < 2:
        return "± half of a 95 % bootstrap interval over test images only (one run a row)"
    single = "; rows of one run: over test images only" if min(told) == 1 else ""
    return f"± half of a 95 % interval over seeds and test images{single}"


def _aim_told(aim: Aim) -> str:
    less = ", less is better" if aim.direction == "min" else ""
    if not aim.tasks:
        return f"{begun(aim.name)}: what a run costs{less}."
    over = f"the mean over {len(aim.tasks)} tasks ({', '.join(aim.tasks)})" if len(aim.tasks) > 1 else aim.tasks[0]
    return f"{begun(aim.name)}: {over} by probe {aim.probe}{less}."


def notes_of(answer: Answer) -> tuple[str, ...]:
    """How the tables are to be read and what was tried, for whoever has the page."""
    studies = [study for study in answer.searched if study.trials]
    told = [f"{f'{study.cell}: ' if study.cell else ''}{counted(study)}." for study in studies]
    told.append(
        "A trial's own seed is the one seed of all trials: they were chosen by what they reached with it on select, so "
        "that it is the winner's luck too."
    )
    if any(is_held(study) for study in studies):
        told.append(
            "Fresh seeds are of the same recipe trained anew; their interval on select is over seeds alone. The gap is "
            "their mean minus the trial's value."
        )
    columns = [column for study in studies for aim in study.aims for column in columns_of(answer, study, aim).values()]
    if columns and any(is_held(study) for study in studies):
        differences = (
            "Differences on report are paired by seed and by test image, each interval by itself; unresolved: p ≥ .05 "
            "after Holm's correction over these comparisons. "
        )
        told.append(f"{differences * _are_compared(answer)}{_where_told(columns)}")
    return tuple(dict.fromkeys(told))


def _are_compared(answer: Answer) -> bool:
    """Whether any finalist stands beside the default row on *report*."""
    return any(
        one.against
        for study, rows in zip(answer.searched, held(answer), strict=True)
        for each in rows.values()
        for one in each
        if is_held(study)
    )


def _where_told(columns: Sequence[Column]) -> str:
    """What the scores on *report* were made by, the same as those on *select*; bands by task where they differ."""
    one, bands = columns[0], {column.task: column.bands for column in columns}
    told = (
        one.bands if len(set(bands.values())) == 1 else ", ".join(f"{each} of {task}" for task, each in bands.items())
    )
    partition = "" if one.partition == "default" else f", labels {one.partition}"
    protocols = ", ".join(dict.fromkeys(column.protocol for column in columns))
    return f"Protocol{'s'[: ',' in protocols]} {protocols}, bands {told}, {one.weights} weights{partition}."
