"""What a report is told of a trial."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from optuna.trial import create_trial

from deo_bench.experiments.sweep.final import tried_of
from tests.experiments.sweep.conftest import AIM, space

LOSS = {"use": "smooth_l1", "beta": 0.5}


def test_settings_are_told_as_figures_show_them_and_as_they_are_written() -> None:
    made = space(optical={"loss": [LOSS, "cosine"]}, compress={"weight": {"low": 0.1, "high": 1.0}})
    distributions = {each.path: each.distribution for each in made.dimensions}
    loss = next(each for each in made.dimensions if each.choices)
    params = {"objective.optical.loss": loss.names[0], "objective.compress.weight": 0.123456789}
    trial = create_trial(value=0.5, params=params, distributions=distributions)
    sweep: Any = SimpleNamespace(space=made, aims=(AIM,))
    told = tried_of(sweep, trial)
    assert told.written == {"objective.optical.loss": LOSS, "objective.compress.weight": 0.123456789}
    assert told.settings["objective.optical.loss"] == "smooth_l1"
