"""Which trials are run anew, and how little it takes to say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deo_bench.experiments.sweep.final import best_numbers
from deo_bench.experiments.sweep.plan import SweepPlan
from tests.sweeping import SWEEP, Place


def test_no_more_recipes_are_resolved_than_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Place(tmp_path, SWEEP.replace("trials = 4", "trials = 12").replace("best = 1", "best = 2")).sweep()
    (tuned,), (study,) = made.cells, made.studies()
    while (claimed := study.claim()) is not None:
        claimed.complete([-abs(claimed.number - 7.2)])
    resolved: list[dict[str, Any]] = []
    whole = SweepPlan.recipe

    def recipe(self: SweepPlan, *given: Any) -> Any:
        resolved.append(given[1])
        return whole(self, *given)

    monkeypatch.setattr(SweepPlan, "recipe", recipe)
    assert best_numbers(made, tuned, study) == [7, 8]
    assert len(resolved) == 2
