"""Levels by name and by number."""

from __future__ import annotations

import pytest

from deo_bench.errors import UserError
from deo_bench.levels import level_number, named_levels

NAMED = {"early": 2, "mid": 5, "late": 11}


@pytest.mark.parametrize(
    ("level", "number"),
    [
        *[("mid", 5), ("block_0", 0), ("block_11", 11)],
        *[(level, None) for level in ("block_12", "stage_2", "block_x", "block_", "block_-1", "late_1", "cls")],
    ],
)
def test_a_level_is_a_name_or_a_number(level, number):
    assert level_number(level, NAMED, "block", range(12)) == number


def test_an_option_names_all_three():
    assert named_levels(None, [2, 5, 11], range(12)) == NAMED
    assert named_levels([0, 5, 7], [2, 5, 11], range(12)) == {"early": 0, "mid": 5, "late": 7}
    for wrong in ([5], [5, 2, 11], [0, 1, 12], [0, 1, 2, 3]):
        with pytest.raises(UserError, match="three numbers from 0 to 11, shallow to deep"):
            named_levels(wrong, [2, 5, 11], range(12))
