"""Intervals and differences against hand computations, scipy, and simulations of known variance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from deo_bench.reports.statistics import Measured, Part, difference, mean_over_seeds, satterthwaite

STILL = np.zeros(50)


def sure(values: Sequence[float], seeds: Sequence[int | None] | None = None) -> list[Measured]:
    """Scores that do not depend on the choice of test images."""
    places = range(len(values)) if seeds is None else seeds
    return [Measured(seed, value, value + STILL, 1000) for seed, value in zip(places, values, strict=True)]


def test_satterthwaite_by_hand() -> None:
    # (4 + 1)^2 / (16 / 2 + 1 / 9) = 25 / 8.1111
    assert satterthwaite([Part(4, 2, "seeds"), Part(1, 9, "seeds")]) == pytest.approx(25 / (8 + 1 / 9))
    assert satterthwaite([Part(4, 2, "seeds")]) == pytest.approx(2)
    assert satterthwaite([Part(1e-300, 2, "seeds"), Part(1e-300, 2, "seeds")]) == pytest.approx(4)
    assert satterthwaite([Part(0, 2, "seeds"), Part(0, 9, "seeds")]) == 2


def test_only_seeds_vary_by_hand() -> None:
    found = mean_over_seeds(sure([0.50, 0.54, 0.52]))
    half = 4.302653 * 0.02 / math.sqrt(3)
    assert (found.value, found.seeds, found.df) == (pytest.approx(0.52), 3, pytest.approx(2))
    assert (found.low, found.high) == (pytest.approx(0.52 - half), pytest.approx(0.52 + half))


def test_seeds_and_images_add_up_by_hand() -> None:
    shared = np.array([-1.0, 1.0] * 500)
    scores = [Measured(s, v, v + 0.01 * shared, 101) for s, v in enumerate([0.50, 0.54, 0.52])]
    images = 0.01**2 * (1000 / 999) * (101 / 100)
    seeds = 0.02**2 / 3
    df = (images + seeds) ** 2 / (images**2 / 100 + seeds**2 / 2)
    found = mean_over_seeds(scores)
    assert found.df == pytest.approx(df)
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(images + seeds))


def test_what_each_run_does_on_the_images_by_itself_is_counted_once() -> None:
    """It is in the spread of the seeds already: replicates that do not go together add nothing."""
    draws = np.random.default_rng(0).normal(0, 0.02, (3, 20000))
    scores = [Measured(s, v, v + draws[s], 1000) for s, v in enumerate([0.50, 0.54, 0.52])]
    assert mean_over_seeds(scores).high == pytest.approx(mean_over_seeds(sure([0.50, 0.54, 0.52])).high, rel=0.002)


def test_a_single_run_has_its_own_bootstrap_interval() -> None:
    stated = Measured(0, 0.5, 0.5 + STILL, 100, low=0.41, high=0.57)
    assert mean_over_seeds([stated]).df is None
    assert (mean_over_seeds([stated]).low, mean_over_seeds([stated]).high) == (0.41, 0.57)
    own = mean_over_seeds([Measured(0, 0.5, np.linspace(0, 1, 1001), 100)])
    assert (own.low, own.high) == (pytest.approx(0.025), pytest.approx(0.975))


def test_a_paired_difference_is_the_paired_t_test() -> None:
    ours, others = [0.61, 0.66, 0.70, 0.62], [0.60, 0.63, 0.69, 0.58]
    found = difference(sure(ours), sure(others))
    known = stats.ttest_rel(ours, others)
    assert (found.p, found.df, found.pairing, found.seeds) == (pytest.approx(known.pvalue), 3, "paired", 4)
    assert (found.low, found.high) == (
        pytest.approx(known.confidence_interval().low),
        pytest.approx(known.confidence_interval().high),
    )


def test_without_common_seeds_it_is_welchs_t_test() -> None:
    ours, others = [0.61, 0.66, 0.70, 0.62], [0.60, 0.63, 0.69]
    found = difference(sure(ours, [0, 1, 2, 3]), sure(others, [10, 11, 12]))
    known = stats.ttest_ind(ours, others, equal_var=False)
    assert (found.p, found.df, found.pairing) == (pytest.approx(known.pvalue), pytest.approx(known.df), "unpaired")


def test_pairing_takes_out_what_seeds_share() -> None:
    shared = np.random.default_rng(0).normal(0, 0.05, 5)
    ours, others = shared + 0.62 + 0.001 * np.arange(5), shared + 0.60
    paired = difference(sure(ours), sure(others))
    apart = difference(sure(ours), sure(others, [5, 6, 7, 8, 9]))
    assert paired.value == pytest.approx(apart.value)
    assert paired.excludes_zero
    assert not apart.excludes_zero


def test_only_common_seeds_are_paired() -> None:
    found = difference(sure([0.6, 0.7, 0.9]), sure([0.5, 0.6, 0.1], [0, 1, 7]))
    assert (found.value, found.seeds, found.pairing) == (pytest.approx(0.1), 2, "paired")


def test_images_that_both_sides_share_cancel() -> None:
    hard = np.random.default_rng(0).normal(0, 0.03, 1000)
    ours = [Measured(s, v, v + hard, 500) for s, v in enumerate([0.62, 0.63, 0.61])]
    others = [Measured(s, v, v + hard, 500) for s, v in enumerate([0.60, 0.611, 0.589])]
    assert difference(ours, others).high - difference(ours, others).low < 0.01
    apart = [Measured(s + 5, m.value, m.replicates, 500) for s, m in enumerate(others)]
    seeds_only = difference(sure([0.62, 0.63, 0.61]), sure([0.60, 0.611, 0.589], [5, 6, 7]))
    assert difference(ours, apart).high == pytest.approx(seeds_only.high, rel=1e-6), "also where seeds are not paired"


def test_against_one_run_only_our_seeds_vary() -> None:
    found = difference(sure([0.50, 0.54, 0.52]), sure([0.40], [None]))
    half = 4.302653 * 0.02 / math.sqrt(3)
    assert (found.pairing, found.seeds) == ("one run", 3)
    assert (found.low, found.high) == (pytest.approx(0.12 - half), pytest.approx(0.12 + half))
    other_way = difference(sure([0.40], [None]), sure([0.50, 0.54, 0.52]))
    assert (other_way.low, other_way.pairing) == (pytest.approx(-found.high), "one run")


def test_one_common_seed_leaves_the_images() -> None:
    draws = np.random.default_rng(0).normal(0, 0.02, 5000)
    found = difference([Measured(0, 0.6, 0.6 + draws, 400)], [Measured(0, 0.5, 0.5 + 0 * draws, 400)])
    assert (found.seeds, found.df) == (1, 399)
    assert found.high - found.value == pytest.approx(1.966 * 0.02, rel=0.03)


def test_the_same_predictions_differ_by_nothing() -> None:
    found = difference(sure([0.5, 0.6]), sure([0.5, 0.6]))
    assert (found.value, found.p, found.excludes_zero) == (0, 1, False)


def simulate(seeds: int, share: float, repeats: int, images: int = 100, resamples: int = 200) -> float:
    """How often the interval holds the truth, where `share` of the variance of a mean comes from the seeds.

    Half of the seeds' part is their own, half how each run fares on these images by itself.
    """
    draws = np.random.default_rng([seeds, int(10 * share)])
    own, apart, common = share * seeds / 2, share * seeds / 2, 1 - share
    hits = 0
    for _ in range(repeats):
        values = draws.normal(0, math.sqrt(common * images), images) + draws.normal(
            0, math.sqrt(apart * images), (seeds, images)
        )
        values += draws.normal(0, math.sqrt(own), (seeds, 1))
        drawn = draws.multinomial(images, np.full(images, 1 / images), size=resamples) / images
        found = mean_over_seeds([Measured(s, row.mean(), drawn @ row, images) for s, row in enumerate(values)])
        hits += found.low <= 0 <= found.high
    return hits / repeats


@pytest.mark.parametrize(
    ("seeds", "share", "low", "high"), [(3, 0.1, 0.91, 0.98), (3, 0.9, 0.90, 0.97), (5, 0.5, 0.92, 0.98)]
)
def test_the_interval_holds_the_truth_as_often_as_it_says(seeds: int, share: float, low: float, high: float) -> None:
    assert low <= simulate(seeds, share, repeats=500) <= high
