"""Contrastive losses in a training, toward a teacher and toward another band set; resumed with what they remember."""

from __future__ import annotations

from typing import Any

import torch

from deo_bench.engine.train import train

WIDTH, BATCH = 8, 8


def changes() -> dict[str, Any]:
    follows = {"toward": "spectral", "head": "views"}
    across = {"toward": "student", "sees": "s2_10", "target_sees": "rgb", "head": "views", "pairs": "same"}
    return {
        "objective": {
            "scaled": {"loss": "infonce", **follows},
            "signed": {"loss": "siglip", **across},
            "bands": {"loss": "cmc", **across},
            "views": {"loss": "ntxent", **follows},
            "queue": {"loss": "queue_kl", "size": 20, **follows},
            "memory": {"loss": "crd", "negatives": 20, **across},
            "channels": {"loss": "vicreg", **across},
            "twins": {"loss": "barlow", **across},
            "manifolds": {"loss": "mmcr", **follows},
            "gauss": {"loss": "sigreg", "slices": 16, "head": "views", "weight": 0.05},
        }
    }


def end(cohort: Any, stop: int | None = None) -> Any:
    runs, source, frozen = cohort(a=changes())
    for done in train(runs, source, frozen):
        assert not done.failed
        if stop is not None and done.step == stop - 1:
            break
    return runs["a"]


def test_a_run_resumed_ends_with_the_same_bits(cohort: Any) -> None:
    whole = end(cohort)
    again, source, frozen = cohort(a=changes())
    again["a"].load(end(cohort, stop=3).state())
    for _ in train(again, source, frozen):
        pass
    mine, theirs = (run.student.state_dict() | run.objective.state_dict() for run in (again["a"], whole))
    assert mine.keys() == theirs.keys()
    assert all(mine[key].equal(theirs[key]) for key in theirs)
    assert theirs["terms.queue.loss.queue.kept"].shape == (20, WIDTH)
    assert theirs["terms.memory.loss.vectors.kept"].shape == (20, WIDTH)
    assert theirs["terms.memory.loss.images.kept"].unique().numel() == 20
    untrained = cohort(a=changes())[0]["a"].objective.state_dict()
    for learned in ("scaled.loss.log_scale", "signed.loss.log_scale", "signed.loss.bias"):
        assert not torch.equal(theirs[f"terms.{learned}"], untrained[f"terms.{learned}"])
