"""Kinds of sections, one file each: from what is known to tables and figures under a heading, or to nothing."""

from __future__ import annotations

from collections.abc import Callable

from deo_bench.reports.answer import Answer
from deo_bench.reports.section import Section
from deo_bench.reports.sections import (
    confusion,
    cost,
    curves,
    effects,
    expectations,
    maps,
    published,
    quartiles,
    scores,
    seeds,
    segmentation,
    summary,
    sweeps,
)

KINDS: tuple[Callable[[Answer], list[Section]], ...] = (
    scores.main,
    sweeps.sections,
    expectations.sections,
    effects.sections,
    summary.sections,
    quartiles.sections,
    seeds.sections,
    curves.sections,
    cost.sections,
    confusion.sections,
    segmentation.sections,
    maps.sections,
    published.sections,
    scores.other_probes,
)
"""In the order of the page."""


def sections_of(answer: Answer) -> list[Section]:
    """Every section of a report, in order."""
    return [section for kind in KINDS for section in kind(answer)]
