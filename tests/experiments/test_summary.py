"""What is said of a plan and of how far it is, in words for one as for many."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from deo_bench.cli.display import Display
from deo_bench.experiments.events import Mapped, Outcome, Scored, ScoringStarted
from deo_bench.experiments.summary import told_expectations, told_outcome
from deo_bench.reports.declared import Declared, Expectation

ONE = Declared("a", "b", ("cover",), "scenes-v1", "knn5_l2", "s2_10")


@pytest.mark.parametrize(
    ("expectations", "told"),
    [
        ([Expectation("a better than b", (ONE,))], "expected: 1 comparison in 1 expectation"),
        ([Expectation("a better than b", (ONE, ONE))] * 2, "expected: 4 comparisons in 2 expectations"),
    ],
)
def test_one_is_no_plural(expectations: list[Expectation], told: str) -> None:
    assert told_expectations(expectations) == [told]
    assert told_outcome(Outcome(trained=1, scored=1, encoded=1))[0].startswith(
        "1 run trained in 0 s; 1 score in 0 s, 1 i"
    )


@pytest.mark.parametrize(("maps", "told"), [(0, "score 1 of 3; a"), (1, "score or set of maps 1 of 3; a")])
def test_maps_are_not_counted_as_scores(capsys: pytest.CaptureFixture[str], maps: int, told: str) -> None:
    plan = cast("Any", SimpleNamespace(requests=[]))
    event = Mapped("a", "a", "cover", 0.1, False) if maps else Scored("a", "a", "cover", "knn", 0.5, 3, 0.1, True)
    with Display(Console(width=200), plan, plain=True) as display:
        display.show(ScoringStarted(3, maps))
        display.show(event)
    assert told in capsys.readouterr().out
