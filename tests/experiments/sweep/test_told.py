"""What a report is told of a trial."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from optuna.trial import create_trial

from deo_bench.experiments.sweep.final import searched_of, tried_of
from tests.experiments.sweep.conftest import AIM, space
from tests.sweeping import SWEEP, Place

LOSS = {"use": "smooth_l1", "beta": 0.5}


def test_settings_are_told_as_figures_show_them_and_as_they_are_written() -> None:
    made = space(optical={"loss": [LOSS, "cosine"]}, compress={"weight": {"low": 0.1, "high": 1.0}})
    distributions = {each.path: each.distribution for each in made.dimensions}
    loss = next(each for each in made.dimensions if each.choices)
    params = {"objective.optical.loss": loss.names[0], "objective.compress.weight": 0.123456789}
    trial = create_trial(value=0.5, params=params, distributions=distributions)
    sweep: Any = SimpleNamespace(space=made, aims=(AIM,))
    told = tried_of(sweep, SimpleNamespace(), trial)  # type: ignore[arg-type]
    assert told.written == {"objective.optical.loss": LOSS, "objective.compress.weight": 0.123456789}
    assert told.settings["objective.optical.loss"] == "smooth_l1"


def test_only_the_recipe_as_it_stands_is_told_as_such(tmp_path: Path) -> None:
    """A study may have been begun with a first trial that was to be it and is another recipe."""
    made = Place(tmp_path, SWEEP).sweep()
    (tuned,), (study,) = made.cells, made.studies()
    for _ in range(2):
        claimed = study.claim()
        assert claimed is not None
        claimed.complete([0.5])
    assert [trial.is_default for trial in searched_of(made, [study])[0].trials] == [True, False]
    other, asked_for = study.trials()[1], {"default": True}
    asked = create_trial(value=0.5, params=other.params, distributions=other.distributions, user_attrs=asked_for)
    assert not tried_of(made, tuned, asked).is_default
