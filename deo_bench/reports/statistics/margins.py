"""A difference held against a margin: better by so much, no worse than so much, as good as equal."""

from __future__ import annotations

from dataclasses import replace

from deo_bench.reports.statistics.interval import Difference, weighed


def against(difference: Difference, by: float) -> Difference:
    """The difference minus a margin, with its interval and p anew.

    by: in the score's own units; above zero for superiority by a margin, below for non-inferiority. The claim that more
    is better by that margin has the p value `one_sided(against(difference, by))`.
    """
    if not difference.parts:
        raise ValueError("the difference does not say the parts of its variance")
    made = weighed(difference.value - by, difference.parts, difference.seeds, difference.pairing)
    return replace(made, is_share=difference.is_share)


def one_sided(difference: Difference) -> float:
    """The p value of the claim that the difference is above zero."""
    return difference.p / 2 if difference.value > 0 else 1 - difference.p / 2


def alike(difference: Difference, within: float) -> float:
    """The p value of the claim that the difference lies between -within and within.

    Two one-sided tests, the larger p of both (Schuirmann, J. Pharmacokinetics and Biopharmaceutics 1987). A large p of
    `difference` itself says no such thing.
    """
    if not within > 0:
        raise ValueError(f"two scores are alike within a margin above zero, not {within}")
    below, above = against(difference, within), against(difference, -within)
    return max(one_sided(above), 1 - one_sided(below))
