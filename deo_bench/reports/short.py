"""The answer in a few sentences, which stand before every table."""

from __future__ import annotations

from collections.abc import Mapping

from deo_bench.reports import found
from deo_bench.reports.answer import Answer
from deo_bench.reports.found import Held, held
from deo_bench.reports.searched import Aim, Searched
from deo_bench.reports.sections import expectations, finalists
from deo_bench.reports.trials import best, is_over, value_of
from deo_bench.reports.wording import difference_text, has_differences, number, resolved, title

_MOST = 8
"""Differences that are told one by one; of more the tables tell."""


def in_short(answer: Answer) -> list[str]:
    """What a sweep found, what came of what was expected, which differences to the baseline row are resolved."""
    told = _sweeps(answer)
    if answer.answered:
        told.append(f"What was expected: {expectations.summary(answer.answered)}.")
    for table in filter(has_differences, answer.main):
        gains = resolved(table)
        where = f" ({title(table)})" if len(answer.main) > 1 else ""
        points = " points" if all(column.is_share for column in table.columns) else ""
        listed = f": {'; '.join(gains)}{points}" if 0 < len(gains) <= _MOST else ""
        count = f"{len(gains)} differences" if len(gains) > 1 else f"{'One' if gains else 'No'} difference"
        told.append(f"{count} to {table.against} {'are' if len(gains) > 1 else 'is'} resolved{where}{listed}.")
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
    """The trial with the best mean over fresh seeds, against the recipe as it stands; before that the best so far."""
    aim = study.aims[0]
    tried, base = found.by_fresh_seeds(study, rows)
    if tried:
        return _by_fresh_seeds(study, tried[0], base[0] if base else None)
    of = f" in {aim.name}" if len(study.aims) > 1 else ""
    leads = best(study, most=2)
    if not leads:
        return "none has a value"
    told = [_text(aim, value_of(lead, 0) or 0.0) for lead in leads]
    if not leads[0].is_default:
        return f"best{of} so far is trial {leads[0].number} with {told[0]} on select at its seed"
    others = f": the best other, {leads[1].number}, has {told[1]}" if len(leads) > 1 else ""
    beaten = f"; no trial beats it{others}" if len(study.trials) > 1 else ""
    return f"best{of} so far is the recipe as it stands with {told[0]} on select at the trials' seed{beaten}"


def _by_fresh_seeds(study: Searched, lead: found.Fresh, base: found.Fresh | None) -> str:
    """The best trial and what it had at its own seed; that it is none where the recipe as it stands is as good."""
    aim = study.aims[0]
    of = f" in {aim.name}" if len(study.aims) > 1 else ""
    told = f"{_text(aim, lead.value)} on select"
    rest = f"{_luck(aim, lead.held)}{_gain(lead.held)}"
    if base is None:
        return f"best{of} by fresh seeds is trial {lead.number} with {told}{rest}; the recipe as it stands has no value"
    if found.beats(aim, lead, base):
        return f"best{of} by fresh seeds is trial {lead.number} with {told}{rest}"
    against = f"no trial beats the recipe as it stands{of} ({_text(aim, base.value)} on select with fresh seeds)"
    if found.beats(aim, base, lead):
        return f"{against}; the best trial, {lead.number}, has {told}{rest}"
    return f"{against}; the best trial, {lead.number}, equals it{rest}"


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
