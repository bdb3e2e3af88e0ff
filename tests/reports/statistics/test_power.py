"""Power against the noncentral t, the normal law and a simulation of the test itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from deo_bench.reports.statistics import Difference, Part, behrens_fisher, difference, power, seeds_needed
from tests.reports.statistics.made import sure


def observed(value: float, seeds: Part, images: float, count: int) -> Difference:
    return Difference(value, 0, 0, 0.5, 2, count, "paired", (Part(images, 999, "images"), seeds))


@pytest.mark.parametrize("seeds", [2, 3, 5, 20, 150])
@pytest.mark.parametrize("level", [0.05, 0.0026])
def test_without_images_it_is_the_t_tests(seeds: int, level: float) -> None:
    for size in (0.1, 0.5, 1.0):
        away, critical = size * math.sqrt(seeds), stats.t.isf(level / 2, seeds - 1)
        known = stats.nct.sf(critical, seeds - 1, away) + stats.nct.cdf(-critical, seeds - 1, away)
        assert power(0.02 * size, 0.02, 0.0, seeds, level) == pytest.approx(known, rel=2e-3)
        assert power(-0.02 * size, 0.02, 0.0, seeds, level) == power(0.02 * size, 0.02, 0.0, seeds, level)


def test_without_seeds_it_is_the_normal_tests() -> None:
    known = stats.norm.sf(1.959964 - 2) + stats.norm.cdf(-1.959964 - 2)
    assert power(0.02, 0.0, 0.01**2, 3) == pytest.approx(known, rel=1e-6)
    assert power(0.02, 1e-9, 0.01**2, 3) == pytest.approx(known, rel=1e-6)
    assert power(0.02, 0.01 * math.sqrt(500), 0.0, 500) == pytest.approx(known, rel=1e-3), "so many are as good as all"


@pytest.mark.parametrize(
    ("seeds", "share", "level"), [(3, 0.5, 0.05), (3, 0.9, 0.05), (5, 0.5, 0.01), (10, 0.3, 0.001)]
)
def test_it_is_how_often_the_test_finds_the_difference(seeds: int, share: float, level: float) -> None:
    draws, size, repeats = np.random.default_rng(0), 3.5, 100_000
    values = draws.normal(size, 1, repeats)
    estimated = share * draws.chisquare(seeds - 1, repeats) / (seeds - 1)
    p = behrens_fisher(values, np.column_stack([estimated, np.full(repeats, 1 - share)]), (seeds - 1, 999))
    assert power(size, math.sqrt(share * seeds), 1 - share, seeds, level) == pytest.approx(
        (p < level).mean(), abs=0.006
    )


def test_a_difference_of_nothing_is_found_at_most_at_the_level() -> None:
    for seeds in (2, 3, 5, 20):
        assert 0.01 < power(0.0, 0.02, 0.02**2 / seeds, seeds) <= 0.05
    assert power(0.0, 0.02, 0.0, 5) == pytest.approx(0.05, rel=1e-3)
    assert (power(0.0, 0.0, 0.0, 5), power(0.1, 0.0, 0.0, 5)) == (0, 1)


def test_one_seed_is_no_test() -> None:
    with pytest.raises(ValueError, match="two seeds"):
        power(0.1, 0.02, 0.0, 1)


def test_needed_seeds_are_statsmodels_sample_size() -> None:
    found = difference(sure([0.61, 0.66, 0.70, 0.62]), sure([0.60, 0.67, 0.69, 0.58]))
    effect = found.value / np.std([0.01, -0.01, 0.01, 0.04], ddof=1)
    for chance in (0.8, 0.95):
        known = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=chance)
        assert seeds_needed(found, power=chance).seeds == math.ceil(known)
    assert seeds_needed(found).now == pytest.approx(TTestPower().power(effect, 4, 0.05), rel=1e-3)
    assert seeds_needed(found).images_factor is None
    assert seeds_needed(found, level=0.05 / 19).seeds > seeds_needed(found).seeds


def test_needed_seeds_are_the_fewest() -> None:
    found = observed(0.01, Part(1e-4, 2, "seeds"), 5e-6, 3)
    needed = seeds_needed(found).seeds
    assert needed is not None
    sd = math.sqrt(3e-4)
    assert power(0.01, sd, 5e-6, needed) >= 0.8 > power(0.01, sd, 5e-6, needed - 1)


def test_where_no_seeds_do_it_takes_images() -> None:
    found = observed(0.01, Part(1e-4, 2, "seeds"), 3e-5, 3)
    needed = seeds_needed(found)
    assert needed.seeds is None and needed.images_factor is not None
    # the images' part that leaves a normal test with power .8: (d / (1.96 + .8416))^2, less the seeds' part of 1,000
    assert needed.images_factor == pytest.approx(3e-5 / ((0.01 / 2.8016) ** 2 - 3e-4 / 1000), rel=1e-3)


def test_sides_that_are_not_paired_add_their_spread() -> None:
    parts = (Part(0.0, 999, "images"), Part(1e-4, 3, "seeds"), Part(3e-4, 1, "seeds"))
    found = Difference(0.02, 0, 0, 0.5, 2, 2, "unpaired", parts)
    paired = observed(0.02, Part((4e-4 + 6e-4) / 5, 4, "seeds"), 0.0, 5)
    assert seeds_needed(found).seeds == seeds_needed(paired).seeds


def test_what_cannot_be_said() -> None:
    single = Difference(0.02, 0, 0, 0.5, 2, 1, "paired", (Part(1e-4, 999, "images"),))
    assert "single run" in seeds_needed(single).reason
    found = observed(0.0, Part(1e-4, 2, "seeds"), 1e-5, 3)
    assert "zero" in seeds_needed(found).reason
    tiny = seeds_needed(replace(found, value=1e-4))
    assert tiny.seeds is None and tiny.images_factor is None and "1,000 seeds" in tiny.reason
    assert seeds_needed(replace(found, value=1e-4), most=1_000_000).images_factor is not None


def test_seeds_that_are_never_taken_to_spread_less_find_less() -> None:
    plain = power(0.03, 0.01, 5e-5, 2)
    assert power(0.03, 0.01, 5e-5, 2, least=1e-4) < power(0.03, 0.01, 5e-5, 2, least=5e-5) < plain
    assert power(0.03, 0.01, 5e-5, 20, least=5e-5) == pytest.approx(power(0.03, 0.01, 5e-5, 20), abs=0.01)
    floored = observed(0.01, Part(1e-4, 2, "seeds", 1e-4), 3e-5, 3)
    free = observed(0.01, Part(1e-4, 2, "seeds"), 3e-5, 3)
    ours, others = seeds_needed(floored).now, seeds_needed(free).now
    assert ours is not None and others is not None and ours < others
