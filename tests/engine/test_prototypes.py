"""Losses over prototypes in a training: their centres take the head's width, and a resumed run has them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deo_bench.engine.train import train
from tests.tiny import recipe

K = 12


def changes(centring: str = "mean") -> dict[str, Any]:
    over = {"toward": "spectral", "head": "prototypes", "centring": centring}
    return {
        "heads": {"prototypes": {"use": "prototypes", "width": K, "hidden": 16, "bottleneck": 6}},
        "objective": {
            "views": {"loss": "dino", **over},
            "patches": {"loss": "ibot", "on": "late", **over},
            "spread": {"loss": "koleo", "weight": 0.1},
        },
        "views": {**recipe()["views"], "mask": 1.0},
    }


def end(cohort: Any, centring: str, stop: int | None = None) -> Any:
    runs, source, frozen = cohort(a=changes(centring))
    for done in train(runs, source, frozen):
        assert not done.failed
        if stop is not None and done.step == stop - 1:
            break
    return runs["a"]


def states(run: Any) -> dict[str, torch.Tensor]:
    return {**run.student.state_dict(), **run.objective.state_dict(), **run.teachers["spectral"].state_dict()}


@pytest.mark.parametrize("centring", ["mean", "sinkhorn"])
def test_a_run_resumed_ends_with_the_same_bits(cohort: Any, centring: str) -> None:
    whole = states(end(cohort, centring))
    again, source, frozen = cohort(a=changes(centring))
    again["a"].load(end(cohort, centring, stop=3).state())
    for _ in train(again, source, frozen):
        pass
    resumed = states(again["a"])
    assert resumed.keys() == whole.keys()
    assert all(resumed[key].equal(whole[key]) for key in whole)
    centres = {key: value.shape for key, value in whole.items() if "centre" in key}
    assert set(centres.values()) == {(K,) if centring == "mean" else ()} and len(centres) == 2


def test_data_without_groups_fail_the_run_that_needs_them_with_the_remedy(cohort: Any) -> None:
    dual = changes()
    dual["objective"] = {"views": {"loss": "dino_dual_center", "toward": "spectral", "head": "prototypes"}}
    runs, source, frozen = cohort(a=dual)
    done = next(iter(train(runs, source, frozen)))
    assert 'take loss = "dino"' in done.failed["a"]
