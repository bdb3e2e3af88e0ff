"""Main effects and interactions by hand and against least squares."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from deo_bench.reports.statistics import Measured, NotFactorialError, difference, effects
from tests.reports.statistics.made import sure, unsure

Cells = list[tuple[dict[str, Any], list[Measured]]]


def grid(draws: np.random.Generator, seeds: int = 3, apart: bool = False) -> Cells:
    """Two by three by two, every cell with its own mean."""
    made: Cells = []
    for place, (loss, width, on) in enumerate(product(["mse", "cos"], [8, 16, 32], [False, True])):
        values = list(draws.normal(0.5, 0.1) + draws.normal(0, 0.02, seeds))
        numbers = [place * seeds * apart + s for s in range(seeds)]
        made.append(({"loss": loss, "width": width, "on": on, "fixed": [1, 2]}, sure(values, numbers)))
    return made


def test_two_by_two_by_hand() -> None:
    a, b, c, d = [0.5, 0.52, 0.51], [0.6, 0.65, 0.61], [0.55, 0.54, 0.58], [0.8, 0.83, 0.79]
    cells = [({"x": x, "y": y}, sure(v)) for (x, y), v in zip(product((0, 1), (0, 1)), (a, b, c, d), strict=True)]
    x, y, both = effects(cells)
    a, b, c, d = map(np.array, (a, b, c, d))
    for effect, contrasted in ((x, (c + d - a - b) / 2), (y, (b + d - a - c) / 2), (both, d - c - b + a)):
        known = stats.ttest_1samp(contrasted, 0)
        assert effect.difference.value == pytest.approx(contrasted.mean())
        assert effect.difference.p == pytest.approx(known.pvalue, rel=1e-4)
        assert (effect.difference.seeds, effect.difference.pairing) == (3, "paired")
    assert (x.factors, x.levels, x.firsts, x.is_interaction) == (("x",), (1,), (0,), False)
    assert (both.factors, both.levels, both.firsts, both.is_interaction) == (("x", "y"), (1, 1), (0, 0), True)


def test_effects_are_least_squares_coefficients() -> None:
    """Of a design in deviations from the mean (sum coding), with all interactions, from which both are read off."""
    cells = grid(np.random.default_rng(0))
    levels: dict[str, list[Any]] = {"loss": ["mse", "cos"], "width": [8, 16, 32], "on": [False, True]}
    rows, scores = [], []
    for settings, measured in cells:
        codes = {}
        for factor, known in levels.items():
            at = known.index(settings[factor])
            codes[factor] = np.eye(len(known))[at, :-1] - (at == len(known) - 1)
        l, w, o = codes["loss"], codes["width"], codes["on"]  # noqa: E741
        row = np.concatenate([[1], l, w, o, np.outer(l, w).ravel(), np.outer(l, o).ravel(), np.outer(w, o).ravel(),
                              np.multiply.outer(np.outer(l, w), o).ravel()])  # fmt: skip
        rows += [row] * len(measured)
        scores += [score.value for score in measured]
    fitted = OLS(np.array(scores), np.array(rows)).fit().params
    made = {(e.factors, e.levels): e.difference.value for e in effects(cells)}
    widths = [*fitted[2:4], -fitted[2:4].sum()]
    loss_width = np.array([*fitted[5:7], -fitted[5:7].sum()])
    width_on = np.array([*fitted[8:10], -fitted[8:10].sum()])
    assert made[("loss",), ("cos",)] == pytest.approx(-2 * fitted[1])
    assert made[("on",), (True,)] == pytest.approx(-2 * fitted[4])
    assert made[("loss", "on"), ("cos", True)] == pytest.approx(4 * fitted[7])
    for place, width in ((1, 16), (2, 32)):
        assert made[("width",), (width,)] == pytest.approx(widths[place] - widths[0])
        assert made[("loss", "width"), ("cos", width)] == pytest.approx(-2 * (loss_width[place] - loss_width[0]))
        assert made[("width", "on"), (width, True)] == pytest.approx(-2 * (width_on[place] - width_on[0]))
    assert len(made) == 1 + 2 + 1 + 2 + 1 + 2


def test_without_common_seeds_errors_are_the_cells_own() -> None:
    cells = grid(np.random.default_rng(1), seeds=4, apart=True)
    found = next(effect for effect in effects(cells) if effect.factors == ("loss",)).difference
    spread = sum(np.var([score.value for score in measured], ddof=1) / 4 for _, measured in cells) / 36
    assert sum(part.variance for part in found.parts) == pytest.approx(spread)
    assert (found.pairing, found.seeds) == ("unpaired", 4)


def test_one_factor_of_two_levels_is_the_difference() -> None:
    draws = np.random.default_rng(0)
    a, b = unsure(draws, [0.6, 0.64, 0.63], 0.02), unsure(draws, [0.59, 0.6, 0.61], 0.02)
    (only,) = effects([({"x": "a"}, a), ({"x": "b"}, b)])
    assert only.difference == difference(b, a)


def test_levels_stand_in_the_order_in_which_they_come() -> None:
    cells = [({"x": x}, sure([v, v + 0.01])) for x, v in (("z", 0.5), ("a", 0.6), ("m", 0.7))]
    assert [(effect.levels, effect.firsts) for effect in effects(cells)] == [(("a",), ("z",)), (("m",), ("z",))]
    lists = [({"x": x}, sure([v, v + 0.01])) for x, v in (([1], 0.5), ([1, 2], 0.6))]
    assert effects(lists)[0].levels == ([1, 2],)


def test_what_is_no_full_product_says_why() -> None:
    cells = grid(np.random.default_rng(0))
    with pytest.raises(NotFactorialError, match="11 of the 12 combinations of loss, width, on"):
        effects(cells[:-1])
    with pytest.raises(NotFactorialError, match="two cells have loss=mse, width=8, on=False"):
        effects([*cells, cells[0]])
    with pytest.raises(NotFactorialError, match="width=32, on=True has no score"):
        effects([*cells[:-1], (cells[-1][0], [])])
    with pytest.raises(NotFactorialError, match="not every cell sets width"):
        effects([({"loss": 1}, sure([0.5])), ({"loss": 2, "width": 3}, sure([0.5]))])
    for few in (cells[:1], []):
        with pytest.raises(NotFactorialError, match="no setting varies"):
            effects(few)
