"""What an ablation may claim: intervals, p values and their correction, power, and summaries over tasks."""

from deo_bench.reports.statistics.factorial import Effect, GridCell, NotFactorialError, effects
from deo_bench.reports.statistics.improvement import Improvement, probability_of_improvement
from deo_bench.reports.statistics.interval import (
    Difference,
    Estimate,
    Pairing,
    Side,
    contrast,
    difference,
    has_spread,
    mean_over_seeds,
    together,
)
from deo_bench.reports.statistics.iqm import (
    Bounds,
    Interquartile,
    by_each_task,
    interquartile,
    iqm,
    normalise,
    observed_bounds,
)
from deo_bench.reports.statistics.margins import against, alike, one_sided
from deo_bench.reports.statistics.parts import LEVEL, Measured, Part, Source, satterthwaite
from deo_bench.reports.statistics.power import Needed, power, seeds_needed
from deo_bench.reports.statistics.pvalue import behrens_fisher, holm, p_value, p_values
from deo_bench.reports.statistics.ranks import Ranking, critical_difference, friedman, rank_rows

__all__ = [
    "LEVEL",
    "Bounds",
    "Difference",
    "Effect",
    "Estimate",
    "GridCell",
    "Improvement",
    "Interquartile",
    "Measured",
    "Needed",
    "NotFactorialError",
    "Pairing",
    "Part",
    "Ranking",
    "Side",
    "Source",
    "against",
    "alike",
    "behrens_fisher",
    "by_each_task",
    "contrast",
    "critical_difference",
    "difference",
    "effects",
    "friedman",
    "has_spread",
    "holm",
    "interquartile",
    "iqm",
    "mean_over_seeds",
    "normalise",
    "observed_bounds",
    "one_sided",
    "p_value",
    "p_values",
    "power",
    "probability_of_improvement",
    "rank_rows",
    "satterthwaite",
    "seeds_needed",
    "together",
]
