"""Margins against t tests of shifted scores, and against statsmodels' two one-sided tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from deo_bench.reports.statistics import Difference, against, alike, difference, one_sided, p_value
from tests.reports.statistics.made import sure, unsure

OURS, OTHERS = [0.61, 0.66, 0.70, 0.62], [0.60, 0.63, 0.69, 0.58]


def test_superiority_by_a_margin_is_the_t_test_of_shifted_scores() -> None:
    found = against(difference(sure(OURS), sure(OTHERS)), 0.01)
    shifted = difference(sure(OURS), sure([value + 0.01 for value in OTHERS]))
    assert (found.value, found.low, found.high, found.p) == tuple(
        pytest.approx(value) for value in (shifted.value, shifted.low, shifted.high, shifted.p)
    )
    known = stats.ttest_1samp(np.subtract(OURS, OTHERS), 0.01, alternative="greater")
    assert one_sided(found) == pytest.approx(known.pvalue)
    assert (found.seeds, found.pairing) == (4, "paired")


def test_no_worse_by_a_margin() -> None:
    worse = difference(sure(OTHERS), sure(OURS))
    known = stats.ttest_1samp(np.subtract(OTHERS, OURS), -0.05, alternative="greater")
    assert one_sided(against(worse, -0.05)) == pytest.approx(known.pvalue)
    assert one_sided(worse) > 0.9 and one_sided(against(worse, -0.2)) < 0.001


@pytest.mark.parametrize("within", [0.01, 0.03, 0.08])
def test_alike_is_statsmodels_two_one_sided_tests(within: float) -> None:
    known = ttost_paired(np.array(OURS), np.array(OTHERS), -within, within)[0]
    assert alike(difference(sure(OURS), sure(OTHERS)), within) == pytest.approx(known)
    assert alike(difference(sure(OTHERS), sure(OURS)), within) == pytest.approx(known)


def test_alike_with_images_takes_the_larger_p() -> None:
    draws = np.random.default_rng(0)
    found = difference(unsure(draws, OURS, 0.01), unsure(draws, OTHERS, 0.01))
    assert alike(found, 0.1) == pytest.approx(p_value(0.1 - found.value, found.parts) / 2)
    assert alike(found, 0.1) > alike(found, 0.2)
    assert alike(found, found.value / 2) > 0.5


def test_the_same_predictions_are_alike() -> None:
    assert alike(difference(sure(OURS), sure(OURS)), 0.001) == 0


def test_what_cannot_be_held_against_a_margin() -> None:
    with pytest.raises(ValueError, match="margin above zero"):
        alike(difference(sure(OURS), sure(OTHERS)), 0.0)
    with pytest.raises(ValueError, match="parts"):
        against(Difference(0.1, 0.0, 0.2, 0.05, 2, 3, "paired"), 0.01)
