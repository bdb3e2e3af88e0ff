"""Intervals and differences against hand computations and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from deo_bench.reports.statistics import (
    Measured,
    Part,
    contrast,
    difference,
    mean_over_seeds,
    p_value,
    satterthwaite,
    together,
)
from tests.reports.statistics.made import sure, unsure


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


def apart(values: list[float], draws: np.random.Generator, spread: float = 0.01) -> list[Measured]:
    """Scores of which each depends on the test images in its own way, and all in one more."""
    common = draws.normal(0, spread, 20000)
    return [Measured(s, v, v + common + draws.normal(0, spread, 20000), 1000) for s, v in enumerate(values)]


def test_seeds_that_tie_vary_as_each_run_does_on_the_images_by_itself() -> None:
    """Of 1,000 images .452 - .445 is .434 - .427: that is luck, and no evidence that seeds do not matter."""
    draws = np.random.default_rng(0)
    ours, others = apart([0.452, 0.434], draws), apart([0.445, 0.427], draws)
    found = difference(ours, others)
    # each run's own variance twice, over two seeds; what a recipe's runs share is the images' part
    assert [part.variance for part in found.parts] == pytest.approx([2 * 0.01**2, 2 * 0.01**2 / 2], rel=0.05)
    assert found.df == pytest.approx((2 + 1) ** 2 / (2**2 / 999 + 1), rel=0.1)
    assert found.p > 0.5 and not found.excludes_zero
    mean = mean_over_seeds(apart([0.44, 0.44], draws))
    assert mean.df is not None and mean.df < 10
    assert mean.high - mean.value > 1.96 * math.sqrt(1.5) * 0.01
    unpaired = difference(ours, [Measured(s, m.value, m.replicates, 1000) for s, m in zip([7, 8], ours, strict=True)])
    assert unpaired.parts[1].variance >= 0.01**2 / 2 * 0.95 and unpaired.parts[1].df == 1


def test_a_chance_agreement_of_tasks_together_is_no_smaller_than_theirs() -> None:
    draws = np.random.default_rng(0)
    sides = [together([apart([0.45, 0.43], draws), apart([0.61, 0.63], draws)]) for _ in range(2)]
    found = difference(sides[0], sides[1])
    assert found.parts[1].variance == pytest.approx(2 * 0.01**2 / 2 / 2, rel=0.05)


def test_seeds_of_which_nothing_is_known_but_that_they_tie_say_nothing() -> None:
    found = difference(sure([0.452, 0.434]), sure([0.445, 0.427]))
    assert (found.p, found.df) == (1, 1)


def test_a_single_run_has_its_own_bootstrap_interval() -> None:
    stated = Measured(0, 0.5, np.full(50, 0.5), 100, low=0.41, high=0.57)
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


def test_without_common_seeds_the_interval_is_welchs() -> None:
    ours, others = [0.61, 0.66, 0.70, 0.62], [0.60, 0.63, 0.69]
    found = difference(sure(ours, [0, 1, 2, 3]), sure(others, [10, 11, 12]))
    known = stats.ttest_ind(ours, others, equal_var=False)
    assert (found.df, found.pairing, found.seeds) == (pytest.approx(known.df), "unpaired", 3)
    assert found.high == pytest.approx(known.confidence_interval().high)
    variances = [np.var(ours, ddof=1) / 4, np.var(others, ddof=1) / 3]
    assert [part.variance for part in found.parts[1:]] == pytest.approx(variances)
    assert [(part.df, part.source) for part in found.parts[1:]] == [(3, "seeds"), (2, "seeds")]
    assert found.p == p_value(found.value, found.parts) > known.pvalue


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


def test_a_difference_says_the_parts_of_its_variance() -> None:
    draws = np.random.default_rng(0)
    ours, others = unsure(draws, [0.6, 0.64, 0.63], 0.001), unsure(draws, [0.59, 0.6, 0.61], 0.001)
    found = difference(ours, others)
    assert [(part.source, part.df) for part in found.parts] == [("images", 499), ("seeds", 2)]
    assert found.p == p_value(found.value, found.parts)
    assert found.parts[1].variance == pytest.approx(np.var([0.01, 0.04, 0.02], ddof=1) / 3)


def test_a_contrast_of_common_seeds_is_the_t_test_of_the_weighted_sum() -> None:
    a, b, c = [0.61, 0.66, 0.70, 0.62], [0.60, 0.63, 0.69, 0.58], [0.5, 0.53, 0.51, 0.57]
    known = stats.ttest_1samp(np.array(a) - 0.5 * np.array(b) - 0.5 * np.array(c), 0)
    found = contrast([(1, sure(a)), (-0.5, sure(b)), (-0.5, sure(c))])
    assert (found.value, found.p, found.df) == (pytest.approx(known.statistic * known._standard_error),
                                                pytest.approx(known.pvalue), 3)  # fmt: skip
    assert (found.pairing, found.seeds) == ("paired", 4)


def test_a_contrast_pairs_what_all_sides_have() -> None:
    found = contrast(
        [(1, sure([0.6, 0.7, 0.9])), (-1, sure([0.5, 0.6, 0.1], [0, 1, 7])), (1, sure([0.1, 0.3], [1, 0]))]
    )
    assert (found.value, found.seeds, found.pairing) == (pytest.approx(0.1 + 0.2), 2, "paired")


def test_a_contrast_without_common_seeds_weighs_variances_by_the_square() -> None:
    draws = np.random.default_rng(0)
    sides = [
        (weight, unsure(draws, values, 0.02, [10 * place, 10 * place + 1, 10 * place + 2]))
        for place, (weight, values) in enumerate(
            [(1.0, [0.6, 0.64, 0.63]), (-0.5, [0.5, 0.56, 0.5]), (-0.5, [0.4, 0.45, 0.37])]
        )
    ]
    found = contrast(sides)
    assert (found.pairing, found.seeds) == ("unpaired", 3)
    expected = [weight**2 * np.var([score.value for score in scores], ddof=1) / 3 for weight, scores in sides]
    assert [part.variance for part in found.parts[1:]] == pytest.approx(expected)
    # what the images do to each side is independent here: 0.02^2 in common to the seeds of each
    assert found.parts[0].variance == pytest.approx(0.02**2 * (1 + 0.25 + 0.25), rel=0.15)


def test_a_baseline_of_one_run_leaves_the_others_paired() -> None:
    a, b = [0.61, 0.66, 0.70], [0.60, 0.63, 0.69]
    known = stats.ttest_1samp((np.array(a) + b) / 2 - 0.4, 0)
    found = contrast([(0.5, sure(a)), (0.5, sure(b)), (-1, sure([0.4], [None]))])
    assert (found.p, found.pairing, found.seeds) == (pytest.approx(known.pvalue), "one run", 3)
    apart = contrast([(0.5, sure(a)), (0.5, sure(b, [7, 8, 9])), (-1, sure([0.4], [None]))])
    assert (apart.value, apart.pairing, len(apart.parts)) == (pytest.approx(found.value), "unpaired", 3)


def test_runs_without_seeds_on_all_sides_leave_the_images() -> None:
    draws = np.random.default_rng(0)
    found = contrast([(1, unsure(draws, [0.6], 0.02, [None])), (-1, unsure(draws, [0.4], 0.02, [None]))])
    assert [part.source for part in found.parts] == ["images"]
    assert (found.seeds, found.pairing) == (1, "one run")


def test_a_side_without_scores_is_refused() -> None:
    with pytest.raises(ValueError, match="every side"):
        contrast([(1, sure([0.5])), (-1, [])])


def test_one_image_one_seed_no_spread() -> None:
    one = [Measured(0, 1.0, np.ones(50), 1)]
    other = [Measured(0, 0.0, np.zeros(50), 1)]
    found = difference(one, other)
    assert (found.value, found.low, found.high, found.p, found.df) == (1, 1, 1, 1, 1)
    assert difference(one, one).p == 1
    apart = difference(one, [Measured(5, 0.0, np.zeros(50), 1)])
    assert (apart.p, apart.seeds, len(apart.parts)) == (1, 1, 1)


def test_tasks_together_by_hand() -> None:
    draws = np.random.default_rng(0)
    a, b = unsure(draws, [0.6, 0.7, 0.8], 0.02), unsure(draws, [0.3, 0.1], 0.04, [2, 0])
    b = [Measured(score.seed, score.value, score.replicates, 90) for score in b]
    found = together([a, b])
    assert [(score.seed, score.value, score.units) for score in found] == [
        (0, pytest.approx(0.35), 90), (2, pytest.approx(0.55), 90)
    ]  # fmt: skip
    assert found[1].replicates == pytest.approx((a[2].replicates + b[0].replicates) / 2)
    assert together([a, sure([0.5], [9])]) == [] and together([]) == []
    assert [score.value for score in together([sure([0.4], [None]), sure([0.6], [None])])] == [0.5]


def test_the_variances_of_independent_tasks_add_up() -> None:
    draws = np.random.default_rng(0)
    tasks = [[unsure(draws, [0.6] * 5, 0.02), unsure(draws, [0.5] * 5, 0.02)] for _ in range(4)]
    pooled = difference(together([task[0] for task in tasks]), together([task[1] for task in tasks]))
    single = [difference(*task).parts[0].variance for task in tasks]
    assert pooled.parts[0].variance == pytest.approx(sum(single) / 16, rel=0.2)
