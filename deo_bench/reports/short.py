"""The answer in a few sentences, which stand before every table."""

from __future__ import annotations

from collections.abc import Mapping

from deo_bench.reports.answer import Answer
from deo_bench.reports.found import Held, held
from deo_bench.reports.searched import Aim, Searched
from deo_bench.reports.sections import expectations, finalists
from deo_bench.reports.trials import best, is_over, sign, value_of
from deo_bench.reports.wording import difference_text, has_differences, number, resolved, title

_MOST = 8
"""Differences that are told one by one; of more the tables tell."""


def in_short(answer: Answer) -> list[str]:
    """What a sweep found, what came of what was expected, which differences to the baseline row are resolved."""
    told = _sweeps(answer)
    if answer.answered:
        told.append(f"What was expected: {expectations.summary(answer.answered)}.")
    for table in filter(has_differences, answer.main):
        found = resolved(table)
        where = f" ({title(table)})" if len(answer.main) > 1 else ""
        points = " points" if all(column.is_share for column in table.columns) else ""
        listed = f": {'; '.join(found)}{points}" if 0 < len(found) <= _MOST else ""
        count = f"{len(found)} differences" if len(found) > 1 else f"{'One' if found else 'No'} difference"
        told.append(f"{count} to {table.against} {'are' if len(found) > 1 else 'is'} resolved{where}{listed}.")
    return told


def _sweeps(answer: Answer) -> list[str]:
    """A sentence a study, of its first aim; of many studies one of them all."""
    studies = [(study, rows) for study, rows in zip(answer.searched, held(answer), strict=True) if study.trials]
    if len(studies) > _MOST:
        over = sum(is_over(study) for study, _ in studies)
        return [f"Sweeps of {len(studies)} cells, {over} of them over: what they found is in the tables."]
    return [
        f"Sweep{f' of {study.cell}' if study.cell else ''}{'' if is_over(study) else ', under way'}: "
        f"{finalists.counted(study)}; {_best(study, rows)}."
        for study, rows in studies
    ]


def _best(study: Searched, rows: Mapping[str, tuple[Held, ...]]) -> str:
    """The trial with the best mean over fresh seeds and what it had at its own; before that the best so far."""
    aim = study.aims[0]
    of = f" in {aim.name}" if len(study.aims) > 1 else ""
    numbers = {finalist.row: finalist.number for finalist in study.finalists}
    tried = [(row, each[0], each[0].fresh.value) for row, each in rows.items() if each[0].fresh]
    tried = [each for each in tried if numbers[each[0]] is not None]
    if tried:
        row, one, value = max(tried, key=lambda each: sign(aim) * each[2])
        name = finalists.row_name(study, row, numbers[row])
        return f"best{of} by fresh seeds is {name} with {_text(aim, value)} on select{_luck(aim, one)}{_gain(one)}"
    for lead in best(study):
        told = _text(aim, value_of(lead, 0) or 0.0)
        return f"best{of} so far is trial {lead.number} with {told} on select at its seed"
    return "none has a value"


def _luck(aim: Aim, one: Held) -> str:
    if one.gap is None or one.searched is None:
        return ""
    beyond = ", beyond the spread of its seeds" if one.is_beyond else ""
    return f" ({_text(aim, one.searched)} at the trial's seed, gap {_text(aim, one.gap, True)}{beyond})"


def _gain(one: Held) -> str:
    if one.against is None:
        return ""
    word = "resolved" if one.is_resolved else "unresolved"
    return f", on report {difference_text(one.against)} to the recipe as it stands, {word}"


def _text(aim: Aim, value: float, signed: bool = False) -> str:
    return number(value, signed, aim.is_share)
