"""Ranks against the worked example of Demsar (JMLR 2006, tables 5 and 6) and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from deo_bench.reports.statistics import critical_difference, friedman, rank_rows

# AUC of four algorithms on fourteen data sets; of "voting", equal to the digits printed, the paper ranks +m first
DEMSAR = {
    "C4.5": [.763, .599, .954, .628, .882, .936, .661, .583, .775, 1, .940, .619, .972, .957],
    "C4.5+m": [.768, .591, .971, .661, .888, .931, .668, .583, .838, 1, .962, .666, .981, .978],
    "C4.5+cf": [.771, .590, .968, .654, .886, .916, .609, .563, .866, 1, .965, .614, .9751, .946],
    "C4.5+m+cf": [.798, .569, .967, .657, .898, .931, .685, .625, .875, 1, .962, .669, .975, .970],
}  # fmt: skip


def test_demsars_example() -> None:
    found = rank_rows(DEMSAR)
    assert list(found.ranks) == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert list(found.ranks.values()) == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    assert found.chi_square == pytest.approx(9.28, abs=0.005)
    assert found.f == pytest.approx(3.69, abs=0.005)
    assert found.p == pytest.approx(stats.f.sf(3.69, 3, 39), rel=0.01)
    # the paper computes with 2.569: 1.25 at .05, and 1.12 at .10 with 2.291
    assert found.critical == pytest.approx(1.25, abs=0.005)
    assert rank_rows(DEMSAR, level=0.1).critical == pytest.approx(1.12, abs=0.005)
    assert found.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)
    assert rank_rows(DEMSAR, level=0.1).groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5"))


@pytest.mark.parametrize(
    ("rows", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (10, 3.164)]
)
def test_critical_values_are_the_papers(rows: int, q: float) -> None:
    assert critical_difference(rows, 10) == pytest.approx(q * np.sqrt(rows * (rows + 1) / 60), abs=1e-3)


def test_friedman_without_ties_is_scipys() -> None:
    table = np.random.default_rng(0).normal(size=(5, 12)) + 0.4 * np.arange(5)[:, None]
    found = rank_rows({str(row): list(values) for row, values in enumerate(table)})
    known = stats.friedmanchisquare(*table)
    assert found.chi_square == pytest.approx(known.statistic)
    f = 11 * known.statistic / (12 * 4 - known.statistic)
    assert (found.f, found.p) == (pytest.approx(f), pytest.approx(stats.f.sf(f, 4, 44)))


def test_ties_share_ranks_and_signs_turn_tasks() -> None:
    found = rank_rows({"a": [0.5, 3.0], "b": [0.5, 1.0], "c": [0.1, 2.0]}, signs=[1, -1])
    assert found.ranks == {"b": 1.25, "a": 2.25, "c": 2.5}


def test_rows_that_always_come_in_one_order_and_rows_that_are_all_the_same() -> None:
    ordered = rank_rows({"a": [3.0, 3], "b": [2.0, 2], "c": [1.0, 1]})
    assert (ordered.f, ordered.p) == (np.inf, pytest.approx(1 / 6 ** (ordered.tasks - 1)))
    same = rank_rows({"a": [1.0, 1], "b": [1.0, 1]})
    assert (same.chi_square, same.p, same.groups) == (0, 1, (("a", "b"),))


def test_groups_are_the_largest_that_are_not_distinguished() -> None:
    # ranks 1, 2, 3, 4, 5 on every task: the difference that distinguishes lies between one and two, or above two
    always = {name: [float(-place)] * 20 for place, name in enumerate("abcde")}
    found = rank_rows(always)
    assert 1 < found.critical < 2
    assert found.groups == (("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"))
    wider = rank_rows({name: values[:8] for name, values in always.items()})
    assert 2 < wider.critical < 3
    assert wider.groups == (("a", "b", "c"), ("b", "c", "d"), ("c", "d", "e"))
    alone = rank_rows({name: [float(-place)] * 60 for place, name in enumerate("abcde")})
    assert alone.critical < 1 and alone.groups == ()


def test_holes_are_refused() -> None:
    for scores in ({"a": [1.0, 2.0]}, {"a": [1.0], "b": [2.0]}, {"a": [1.0, np.nan], "b": [2.0, 1.0]}):
        with pytest.raises(ValueError, match="every row on every task"):
            rank_rows(scores)


def test_friedman_of_ranks_by_hand() -> None:
    # 12 * 4 / (3 * 4) * (1.5^2 + 1.75^2 + 2.75^2 - 3 * 16 / 4)
    assert friedman([1.5, 1.75, 2.75], 4)[0] == pytest.approx(4 * (2.25 + 3.0625 + 7.5625 - 12))
