"""The answer in a few sentences, which stand before every table."""

from __future__ import annotations

from deo_bench.reports.answer import Answer
from deo_bench.reports.sections import expectations
from deo_bench.reports.wording import has_differences, resolved, title

_MOST = 8
"""Differences that are told one by one; of more the tables tell."""


def in_short(answer: Answer) -> list[str]:
    """What came of what was expected, and which differences to the baseline row are resolved."""
    told = []
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
