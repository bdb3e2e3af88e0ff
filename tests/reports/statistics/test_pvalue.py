"""P values against the t test, against sums of t variables integrated another way, and by their properties."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, special, stats
from statsmodels.stats.multitest import multipletests

from deo_bench.reports.statistics import Part, behrens_fisher, holm, p_value, p_values

SIZES = (0.0, 0.4, 2.0, 5.0, 12.0, 40.0, 1e3, 1e5)


def parts_of(*pairs: tuple[float, float]) -> list[Part]:
    return [Part(variance, df, "images" if df > 200 else "seeds") for variance, df in pairs]


def as_a_sum(size: float, wide: tuple[float, float], other: tuple[float, float]) -> float:
    """P(|a T1 + b T2| > size) of two t variables, as a convolution: the same law, without any chi square."""
    a, b = (np.sqrt(variance) for variance, _ in (wide, other))
    df, n = wide[1], other[1]
    height = np.exp(special.gammaln((n + 1) / 2) - special.gammaln(n / 2)) / np.sqrt(n * np.pi)

    def inside(angle: float) -> float:
        t = np.sinh(angle)
        density = np.exp(-t * t / 2) / np.sqrt(2 * np.pi) if n > 200 else height * (1 + t * t / n) ** (-(n + 1) / 2)
        tails = special.stdtr(df, (b * t - size) / a) + special.stdtr(df, (-b * t - size) / a)
        return float(density * np.cosh(angle) * tails)

    turn = float(np.arcsinh(size / b))
    ends = sorted({-45.0, -turn, 0.0, turn, 45.0})
    return sum(integrate.quad(inside, *pair, limit=400)[0] for pair in pairwise(ends))


def by_trapezoids(size: float, pairs: Sequence[tuple[float, float]]) -> float:
    """Any number of parts, on an even and much finer grid."""
    total: np.ndarray = np.zeros(())
    weights = np.ones(())
    for variance, df in pairs:
        logs = np.arange(np.log(stats.chi2.ppf(1e-15, df)), np.log(stats.chi2.isf(1e-12, df)), 0.12)
        density = np.exp(stats.chi2.logpdf(np.exp(logs), df) + logs) * 0.12
        total = np.add.outer(total, variance * df / np.exp(logs))
        weights = np.multiply.outer(weights, density)
    return float((2 * special.ndtr(-size / np.sqrt(total)) * weights).sum())


@pytest.mark.parametrize("df", [1, 2, 4, 19, 150])
def test_one_part_is_the_t_test(df: float) -> None:
    for size in SIZES:
        assert p_value(size, parts_of((4.0, df))) == pytest.approx(2 * stats.t.sf(size / 2, df), rel=1e-9)


def test_known_parts_are_the_normal_law() -> None:
    assert p_value(3.0, parts_of((1.5, 300), (0.5, 5000))) == pytest.approx(2 * stats.norm.sf(3 / np.sqrt(2)))


@pytest.mark.parametrize("df", [1, 2, 4])
@pytest.mark.parametrize("other", [(1.0, 999.0), (9.0, 999.0), (0.1, 999.0), (1.0, 2.0), (0.2, 4.0), (1.0, 43.0)])
def test_two_parts_are_a_sum_of_t_variables(df: float, other: tuple[float, float]) -> None:
    checked = 0
    for size in SIZES:
        known = as_a_sum(size, (1.0, df), other)
        if known > 1e-7:
            assert p_value(size, parts_of((1.0, df), other)) == pytest.approx(known, rel=1e-3), size
            checked += known < 1e-3
    assert checked


def test_p_at_one_in_a_million() -> None:
    for df in (1.0, 2.0, 4.0):
        size = optimize.brentq(lambda d, df=df: np.log(as_a_sum(d, (1, df), (1, 999)) / 1e-6), 5, 1e6)
        assert p_value(size, parts_of((1, df), (1, 999))) == pytest.approx(1e-6, rel=0.003)


@pytest.mark.parametrize("pairs", [[(1, 2), (0.5, 2), (1, 43)], [(1, 1), (2, 4), (0.3, 9)], [(1, 4), (1, 4), (0.1, 4)]])
def test_three_parts(pairs: list[tuple[float, float]]) -> None:
    for size in (1.0, 3.0, 8.0, 30.0):
        assert p_value(size, parts_of(*pairs)) == pytest.approx(by_trapezoids(size, pairs), rel=1e-3)


def test_cauchy_variables_add_up_to_one() -> None:
    for count, size in ((3, 4.0), (4, 20.0), (9, 1e3), (4, 1e6)):
        assert p_value(size, parts_of(*[(1, 1)] * count)) == pytest.approx(2 * stats.cauchy.sf(size / count), rel=1e-3)


@pytest.mark.parametrize("pairs", [[(1, 2)] * 4, [(1, 2)] * 9, [(0.2, 4), (3, 2), (1, 43), (1, 2), (2, 999)]])
def test_more_parts_are_a_sum_of_t_variables(pairs: list[tuple[float, float]]) -> None:
    draws = np.random.default_rng(0)
    sums = np.abs(sum(np.sqrt(v) * draws.standard_t(df, 400_000) for v, df in pairs))
    for level in (0.5, 0.05, 0.01, 0.001):
        found = p_value(np.quantile(sums, 1 - level), parts_of(*pairs))
        assert found == pytest.approx(level, abs=4 * np.sqrt(level / 400_000))


def test_it_never_exceeds_its_level_at_three_seeds() -> None:
    """Satterthwaite's degrees of freedom would: 2 % at .26 %."""
    draws = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        values = draws.standard_normal(200_000)
        seeds = share * draws.chisquare(2, 200_000) / 2
        found = behrens_fisher(values, np.column_stack([seeds, np.full(200_000, 1 - share)]), (2, 999))
        assert 0.015 < (found < 0.05).mean() < 0.05
        assert (found < 0.0026).mean() < 0.0028


def test_many_at_once_are_each_by_itself() -> None:
    many = [
        parts_of((1, 2), (1, 999)), parts_of((1, 4)), parts_of((2, 999), (3, 2)), parts_of((0, 2), (1, 999)),
        parts_of((0, 2)), parts_of((1, 2), (1, 2), (1, 9)),
    ]  # fmt: skip
    assert p_values([2.0, -1, 3, 1, 0, 4], many) == pytest.approx(
        [p_value(value, parts) for value, parts in zip([2.0, -1, 3, 1, 0, 4], many, strict=True)]
    )
    assert p_values([3.0], [parts_of((3, 2), (2, 999))])[0] == p_values([3.0], [parts_of((2, 999), (3, 2))])[0]


def test_without_variance_only_nothing_is_nothing() -> None:
    assert p_value(0.0, parts_of((0, 2), (0, 999))) == 1
    assert p_value(1e-9, parts_of((0, 2), (0, 999))) == 0
    assert p_value(0.5, []) == 0
    for count in (1, 2, 3, 4):
        assert 0 <= p_value(1.0, parts_of(*[(1e-320, 2)] * count)) < 1e-12


variances = st.floats(1e-8, 1e4)
degrees = st.sampled_from([1.0, 2.0, 3.0, 4.0, 9.0, 43.0, 999.0])
some_parts = st.lists(st.tuples(variances, degrees), min_size=1, max_size=3).map(lambda pairs: parts_of(*pairs))
values = st.floats(-1e6, 1e6)


@given(values, values, some_parts)
def test_p_is_a_probability_the_same_both_ways_and_falls_with_size(a: float, b: float, parts: list[Part]) -> None:
    small, large = sorted((a, b), key=abs)
    assert 0 <= p_value(large, parts) <= p_value(small, parts) * (1 + 1e-12) <= 1 + 1e-12
    assert p_value(-a, parts) == p_value(a, parts)


@given(st.floats(0, 50), some_parts, st.floats(1e-150, 1e150))
def test_the_scale_of_a_metric_does_not_matter(size: float, parts: list[Part], scale: float) -> None:
    scaled = [Part(part.variance * scale * scale, part.df, part.source) for part in parts]
    total = sum(part.variance for part in scaled)
    if 1e-290 < total < 1e290 and min(part.variance for part in scaled) > 1e-300:
        assert p_value(size * scale, scaled) == pytest.approx(p_value(size, parts), rel=1e-6, abs=1e-300)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_is_statsmodels_and_keeps_the_order(raw: list[float]) -> None:
    found = holm(raw)
    assert found.shape == (len(raw),)
    if raw:
        assert found == pytest.approx(multipletests(raw, method="holm")[1])
        assert (found >= raw).all() and (found <= 1).all()
        assert (np.diff(found[np.argsort(raw, kind="stable")]) >= 0).all()


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
