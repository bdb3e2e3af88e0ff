"""Best and second are marked where they lead everything below them, and nothing is marked where nothing differs."""

from __future__ import annotations

import numpy as np
import pytest

from deo_bench.reports.leaders import Leaders
from deo_bench.reports.statistics import Measured
from deo_bench.reports.table import Cell

Column = dict[str, list[Measured]]


def scores(draws: np.random.Generator, means: dict[str, float], spread: float = 0.01, seeds: int = 5) -> Column:
    """Rows with these means: seeds vary, and the test images do the same to everybody."""
    images = draws.normal(0, 0.01, 200)
    return {
        label: [Measured(seed, mean + draws.normal(0, spread), mean + images, 1000) for seed in range(seeds)]
        for label, mean in means.items()
    }


def marked(*columns: Column, sign: int = 1) -> list[tuple[str, str]]:
    """Best and second of each column, or nothing."""
    leaders = Leaders()
    for column in columns:
        leaders.add(column, sign)
    rows = {label: [Cell() for _ in columns] for label in columns[0]}
    leaders.mark(rows)

    def which(key: str, place: int) -> str:
        return "".join(label for label, cells in rows.items() if getattr(cells[place], key))

    return [(which("is_best", place), which("is_second", place)) for place in range(len(columns))]


def test_planted_leaders_are_found_where_more_and_where_less_is_better() -> None:
    draws = np.random.default_rng(0)
    column = scores(draws, {"a": 0.3, "b": 0.6, "c": 0.8, "d": 0.31})
    assert marked(column) == [("c", "b")]
    assert marked(scores(draws, {"a": 0.3, "b": 0.6, "c": 0.8, "d": 0.45}), sign=-1) == [("a", "d")]


def test_a_lead_over_the_next_alone_is_none() -> None:
    """The best has a rival that is near and unsure: it is not bold though it beats all others, and none is second."""
    draws = np.random.default_rng(1)
    column = scores(draws, {"best": 0.80, "low": 0.3, "lower": 0.2})
    column["rival"] = [Measured(seed, 0.79 + 0.05 * (seed - 2), np.full(200, 0.79), 1000) for seed in range(5)]
    assert marked(column) == [("", "")], "the rival leads the rest, and is second to nobody in particular"
    del column["best"]
    assert marked(column) == [("rival", "low")]


def test_two_rows_have_a_best_and_no_second() -> None:
    assert marked(scores(np.random.default_rng(2), {"a": 0.3, "b": 0.6})) == [("b", "")]


def test_of_equal_recipes_hardly_ever_one_is_marked() -> None:
    """Twenty columns of one table: the chance that any is marked is 5 % at most, and far less with many rivals."""
    draws = np.random.default_rng(3)
    tables = [marked(*(scores(draws, dict.fromkeys("abc", 0.5), seeds=3) for _ in range(4))) for _ in range(100)]
    assert sum(any(best or second for best, second in table) for table in tables) <= 10


def test_more_columns_need_more() -> None:
    """One column that leads by itself at p = .03 is not marked among twenty."""
    draws = np.random.default_rng(4)
    for shift in np.linspace(0.01, 0.3, 60):
        column = scores(np.random.default_rng(7), {"a": 0.5, "b": 0.5 + shift}, spread=0.02, seeds=4)
        if marked(column) == [("b", "")]:
            break
    else:
        pytest.fail("never marked")
    others = [scores(draws, {"a": 0.5, "b": 0.5}, spread=0.02, seeds=4) for _ in range(19)]
    assert marked(column, *others)[0] == ("", "")


def test_of_two_that_share_the_lead_neither_is_second() -> None:
    column = scores(np.random.default_rng(0), {"a": 0.8, "c": 0.3})
    column["b"] = column["a"]
    assert marked(column) == [("", "")]
