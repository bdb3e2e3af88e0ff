"""A study hands out its trials once each, and ends with its budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.experiments.sweep.conftest import CONDITIONAL, GRID, NUMBERS, PLAIN, opened, story, swept, work


@pytest.mark.parametrize("sampler", ["tpe", {"use": "tpe", "multivariate": False}, {"use": "tpe", "group": True}])
@pytest.mark.parametrize("space", [PLAIN, CONDITIONAL])
def test_a_study_is_the_same_however_often_it_is_opened(store: Path, sampler: Any, space: Any) -> None:
    whole = opened(store / "a", swept(14, sampler), space)
    work(whole)
    for _ in range(14):
        study = opened(store / "b", swept(14, sampler), space)
        claimed = study.claim()
        assert claimed is not None
        claimed.release()
        again = study.claim()
        assert again is not None and again.number == claimed.number and again.params == claimed.params
        from tests.experiments.sweep.conftest import tried

        tried(again)
    assert story(study) == story(whole)
    assert study.is_over and study.claim() is None


def test_smoke(store: Path) -> None:
    for sampler, space in [("cmaes", NUMBERS), ("gauss", NUMBERS), ("grid", GRID), ("random", PLAIN), ("qmc", PLAIN)]:
        study = opened(store / sampler, swept(14, sampler), space)
        work(study)
        assert len(study.trials()) == study.wanted == (12 if sampler == "grid" else 14)
