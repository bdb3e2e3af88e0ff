"""The answer in a few sentences, which stand before every table."""

from __future__ import annotations

from collections.abc import Mapping

from deo_bench.reports.answer import Answer
from deo_bench.reports.found import Held, held
from deo_bench.reports.searched import Searched
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
    return [f"Sweep{f' of {study.cell}' if study.cell else ''}: {_found(study, rows)}." for study, rows in studies]


def _found(study: Searched, rows: Mapping[str, tuple[Held, ...]]) -> str:
    """The finalist with the best mean over fresh seeds, both its values and the gap; before that the best so far."""
    aim, several = study.aims[0], f" in {study.aims[0].name}" if len(study.aims) > 1 else ""
    told = "" if is_over(study) else "under way, "
    told += finalists.counted(study)
    number_of = {finalist.row: finalist.number for finalist in study.finalists}
    tried = {row: each[0] for row, each in rows.items() if number_of[row] is not None and each[0].fresh}
    if not tried:
        lead = next(iter(best(study)), None)
        value = value_of(lead, 0) if lead else None
        if lead is None or value is None:
            return f"{told}; none has a value"
        return f"{told}; best{several} so far is trial {lead.number} with {_text(study, value)} on select at its seed"
    row = max(tried, key=lambda row: sign(aim) * (fresh.value if (fresh := tried[row].fresh) else 0.0))
    one = tried[row]
    words = f"{told}; best{several} by fresh seeds is {finalists.row_name(study, row, number_of[row])} with {_text(study, one.fresh.value if one.fresh else 0.0)}"
    if one.gap is not None and one.searched is not None:
        beyond = ", beyond the spread of its seeds" if one.is_beyond else ""
        words += (
            f" on select ({_text(study, one.searched)} at the trial's seed, gap {_text(study, one.gap, True)}{beyond})"
        )
    if one.against is not None:
        resolved_ = "resolved" if one.is_resolved else "unresolved"
        words += f", and {difference_text(one.against)} to the recipe as it stands on report, {resolved_}"
    return words


def _text(study: Searched, value: float, signed: bool = False) -> str:
    return number(value, signed, study.aims[0].is_share)
