"""What the statistics promise holds when everything is simulated, from single test images on.

Few repeats here, and bounds that are wider by three binomial errors; all 4,000 in the test that is marked slow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.reports.statistics.simulations import (
    ALPHA,
    IMAGES,
    coverage_of_a_difference,
    coverage_of_a_mean,
    false_alarms,
    of_share,
    planted,
)

FULL = 4000
SHARES = (0.1, 0.5, 0.9)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The matrices are small: threads would only wait for one another."""
    with threadpool_limits(1):
        yield


def slack(rate: float, repeats: int) -> float:
    return 0.0 if repeats >= FULL else 3 * math.sqrt(rate * (1 - rate) / repeats)


def hold_coverage(seeds: int, share: float, repeats: int) -> None:
    # two or three seeds are never taken to agree better than their runs' own errors on the images let them
    low, high = 0.93, (1.0 if seeds <= 3 else 0.98)
    for found in (coverage_of_a_mean(seeds, share, repeats), coverage_of_a_difference(seeds, share, repeats)):
        assert low - slack(0.95, repeats) <= found <= high + slack(0.95, repeats)


def hold_false_alarms(seeds: int, tasks: int, repeats: int, paired: bool, **of_world: float) -> None:
    rows, best = false_alarms(20, seeds, tasks, repeats, paired, **of_world)
    assert rows <= ALPHA + slack(ALPHA, repeats)
    assert best <= ALPHA + slack(ALPHA, repeats)


def hold_power(errors: float, seeds: int, among: int, repeats: int) -> float:
    found, computed = planted(errors, seeds, among, repeats)
    assert found == pytest.approx(computed, abs=0.03 + slack(computed, repeats))
    return found


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("share", SHARES)
def test_intervals_hold_the_truth(seeds: int, share: float) -> None:
    hold_coverage(seeds, share, 300)


@pytest.mark.parametrize(
    ("seeds", "tasks", "paired", "repeats"), [(3, 1, False, 100), (5, 4, False, 25), (3, 4, True, 25)]
)
def test_one_recipe_under_many_names_is_one_recipe(seeds: int, tasks: int, paired: bool, repeats: int) -> None:
    hold_false_alarms(seeds, tasks, repeats, paired)


@pytest.mark.parametrize(("images", "repeats"), [(100, 100), (1000, 30)])
def test_two_seeds_that_tie_are_no_finding(images: int, repeats: int) -> None:
    """One recipe whose runs are equally able: of 100 images, two differences often tie somewhere in a grid."""
    hold_false_alarms(2, 1, repeats, True, able=0.0, images=images)


def test_a_declared_difference_of_three_errors_is_found() -> None:
    assert hold_power(3.0, 20, 1, 800) >= 0.8 - slack(0.8, 800)


@pytest.mark.parametrize(("errors", "among", "repeats"), [(3.5, 5, 400), (4.0, 19, 200), (4.5, 76, 60)])
def test_power_among_corrected_comparisons_is_the_computed_one(errors: float, among: int, repeats: int) -> None:
    hold_power(errors, 10, among, repeats)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_everything_at_four_thousand_repeats() -> None:
    for seeds in (2, 3, 5, 10):
        for share in SHARES:
            hold_coverage(seeds, share, FULL)
    for seeds, tasks, paired in ((3, 1, False), (5, 1, False), (3, 4, False), (5, 4, False), (3, 4, True)):
        hold_false_alarms(seeds, tasks, FULL, paired)
    for images in (100, 1000):
        hold_false_alarms(2, 1, FULL, True, able=0.0, images=images)
    assert hold_power(3.0, 20, 1, FULL) >= 0.8
    for errors, among in ((3.5, 5), (4.0, 19), (4.5, 76)):
        hold_power(errors, 10, among, FULL)


@pytest.mark.parametrize("share", SHARES)
def test_the_world_is_as_its_formulas_say(share: float) -> None:
    """The variances of a mean over seeds, over many draws of seeds and images; else nothing above means anything."""
    draws, world = np.random.default_rng(0), of_share(share, 3, across=0.5)
    correct = np.array([world.correct(draws, 2, 3, [0.55, 0.5]).mean(2) for _ in range(6000)])
    assert correct.mean((0, 2)) == pytest.approx([0.55, 0.5], abs=0.005)
    assert correct[:, :, 0].var(0).mean() == pytest.approx(world.seed_variance() + world.inside / IMAGES, rel=0.06)
    apart = (correct[:, 0] - correct[:, 1]).mean(1).var()
    seeds, images = 2 * world.seed_variance() / 3, 2 * (world.inside - world.across) / IMAGES
    assert seeds / (seeds + images) == pytest.approx(share)
    assert apart == pytest.approx(seeds + images, rel=0.08)
