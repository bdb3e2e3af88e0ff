"""A trial that goes on from a run that was trained before is held against others only where both were measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deo_bench.experiments.sweep.study import Study
from tests.experiments.sweep.conftest import NUMBERS, opened, swept

HYPERBAND = {"use": "hyperband", "min_resource": 10, "reduction_factor": 3}
WORTH = (0.0, -0.05, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11)


def carried_out(store: Path, late: Mapping[int, int], every: float = 0.1, **pruner: Any) -> Study:
    """A study whose later trials are better; late: trials and the percent at which they begin to be measured."""
    sweep = swept(len(WORTH), "random", {**HYPERBAND, **pruner}, measure={"every": every})
    study = opened(store, sweep, NUMBERS)
    while (claimed := study.claim()) is not None:
        for percent in sweep.measure.percents:
            if percent >= late.get(claimed.number, 0):
                claimed.report(percent, percent / 100 + WORTH[claimed.number])
                if claimed.should_prune():
                    claimed.prune()
                    break
        else:
            claimed.complete([1 + WORTH[claimed.number]])
    return study


def ends(study: Study) -> list[tuple[str, int | None]]:
    """Of every trial how it ended, and where it was measured last."""
    return [(trial.state.name, max(trial.intermediate_values, default=None)) for trial in study.trials()]


def rungs(study: Study, number: int) -> dict[str, float]:
    """What is kept of a trial at each rung."""
    told = study.trials()[number].system_attrs
    return {key: value for key, value in told.items() if key.startswith("completed_rung_")}


@pytest.mark.parametrize("late", [(0,), (1,), (0, 1, 2)])
def test_who_begins_to_be_measured_late_prunes_nobody_at_rungs_behind_it(store: Path, late: tuple[int, ...]) -> None:
    unmeasured = carried_out(store / "unmeasured", dict.fromkeys(late, 100))
    study = carried_out(store / "late", dict.fromkeys(late, 60))
    # At 90 % all were measured, and may be held against one another.
    early = [
        ["early" if end[1] and end[1] < 90 else "late" for end in ends(each)[max(late) + 1 :]]
        for each in (unmeasured, study)
    ]
    assert early[0] == early[1]
    for number in late:
        assert list(rungs(study, number).values()) == [0.9 + WORTH[number]] and ends(study)[number][1] == 90


def test_who_was_measured_from_the_beginning_is_judged_as_ever(store: Path) -> None:
    study = carried_out(store, {})
    assert [rungs(study, number)["completed_rung_0"] - WORTH[number] for number in range(2)] == pytest.approx(
        [rungs(carried_out(store / "late", {2: 60}), number)["completed_rung_0"] - WORTH[number] for number in range(2)]
    )
    assert rungs(study, 0)["completed_rung_0"] in (0.1, 0.3, 0.9), "of its first cut"


def test_a_rung_between_two_looks_is_judged_by_the_first_look_after_it(store: Path) -> None:
    study = carried_out(store, {}, every=0.25)
    first = {number: rungs(study, number).get("completed_rung_0") for number in range(len(WORTH))}
    measured = {round(value - WORTH[number], 6) for number, value in first.items() if value is not None}
    assert {0.25, 0.5} >= measured > set(), "rungs at 10 and 30 percent; none comes to one at 90"
