"""What a training costs, against closed forms; and that counting it changes nothing."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from deo_bench.data import Pack
from deo_bench.engine import compute
from deo_bench.engine.build import Statistics
from deo_bench.engine.compute import compute_of
from deo_bench.engine.train import train
from tests.tiny import recipe

WIDTH, DEPTH, PATCH = 16, 2, 8


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test counts for itself."""
    monkeypatch.setattr(compute, "_KNOWN", {})


def vit_macs(size: int, bands: int, width: int = WIDTH, depth: int = DEPTH, patch: int = PATCH) -> int:
    """A plain vision transformer with mean pooling: patches, then qkv, scores, values, projection and the MLP."""
    tokens = (size // patch) ** 2
    stem = tokens * bands * patch**2 * width
    return stem + depth * (12 * tokens * width**2 + 2 * tokens**2 * width)


def test_gmacs_parameters_and_the_total_are_those_of_the_closed_form(cohort: Any, pack: Pack) -> None:
    runs, source, frozen = cohort(a={})
    for _ in itertools.islice(train(runs, source, frozen), 3):
        pass
    told = compute_of(runs["a"], Statistics.of(pack))
    large, small = vit_macs(16, 10), vit_macs(8, 10)
    assert told["student_gmacs"]["s2_10"] == pytest.approx({"16": large / 1e9, "8": small / 1e9}, rel=1e-5)
    assert told["student_gmacs"]["rgb"]["16"] == pytest.approx(vit_macs(16, 3) / 1e9, rel=1e-5)
    assert told["teacher_gmacs"] == {"spectral": {"s2_10": pytest.approx(large / 1e9, rel=1e-5)}}
    # Compression looks at all crops: two global ones and a local one, forward and twice that backward; the moving
    # average at the global ones. Three steps of eight images.
    macs = 24 * (3 * (2 * large + small) + 2 * large)
    assert told["train_pflops"] == pytest.approx(2 * macs / 1e15, rel=1e-5)
    assert (told["images"], told["views"]) == (24, {"16": 48, "8": 24})
    student = sum(value.numel() for value in runs["a"].student.parameters())
    assert told["parameters"] == told["parameters_trained"] == student
    assert told["parameters_of_heads"] == sum(value.numel() for value in runs["a"].objective.heads.parameters())


def test_a_frozen_teacher_is_counted_once_however_many_terms_look_at_it(cohort: Any, pack: Pack) -> None:
    like = {"use": "random", "like": "vit_nano", "settings": {"width": 32, "depth": 1, "heads": 2, "size": 16}}
    terms = {
        name: {"loss": "cosine", "toward": "optical", "sees": "s2_10", "crops": "global", "on": on}
        for name, on in (("vectors", "mean"), ("maps", "late"))
    }
    runs, source, frozen = cohort(a={"teachers": {"optical": like}, "heads": {}, "objective": terms})
    next(train(runs, source, frozen))
    told = compute_of(runs["a"], Statistics.of(pack))
    theirs, ours = vit_macs(16, 3, width=32, depth=1), vit_macs(16, 10)
    assert told["teacher_gmacs"] == {"optical": {"rgb": pytest.approx(theirs / 1e9, rel=1e-5)}}
    assert told["train_pflops"] == pytest.approx(2 * 8 * (3 * 2 * ours + 2 * theirs) / 1e15, rel=1e-5)


def test_experts_cost_what_a_token_passes_through(cohort: Any, pack: Pack) -> None:
    """Who goes where is not known without values, so this one is counted on some."""
    student = recipe()["student"] | {"use": "vit_moe_nano", "every": 1, "expert_ratio": 2.0, "top": 2, "experts": 4}
    runs, _, _ = cohort(a={"student": student})
    told = compute_of(runs["a"], Statistics.of(pack))
    router = DEPTH * 4 * WIDTH * 4  # blocks x tokens x width x experts
    assert told["student_gmacs"]["s2_10"]["16"] == pytest.approx((vit_macs(16, 10) + router) / 1e9, rel=1e-5)
    assert told["train_pflops"] == 0
    assert not any(value.any() for name, value in runs["a"].student.named_buffers() if name.endswith("load"))
    assert all(module.training for module in runs["a"].student.modules())


def test_counting_changes_neither_weights_nor_what_is_drawn_next(cohort: Any, pack: Pack) -> None:
    runs, source, frozen = cohort(a={})
    next(train(runs, source, frozen))
    before, drawn = runs["a"].state(), torch.random.get_rng_state()
    mode = [module.training for module in runs["a"].student.modules()]
    compute_of(runs["a"], Statistics.of(pack))
    after = runs["a"].state()
    for part in ("student", "objective"):
        assert all(torch.equal(value, after[part][name]) for name, value in before[part].items())
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert [module.training for module in runs["a"].student.modules()] == mode


def test_what_cannot_be_counted_is_said_to_be_none(cohort: Any, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, _, _ = cohort(a={})

    def refuse(*_: object) -> int:
        raise ValueError("no such operator")

    monkeypatch.setattr(compute, "_multiply_adds", refuse)
    told = compute_of(runs["a"], Statistics.of(pack))
    assert told["student_gmacs"] is told["train_pflops"] is None
    assert told["parameters"] > 0


def test_runs_that_are_alike_are_counted_once_and_others_by_themselves(
    cohort: Any, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    count = compute._multiply_adds
    monkeypatch.setattr(compute, "_multiply_adds", lambda *given: counted.append(given) or count(*given))
    runs, _, _ = cohort(a={}, b={}, wide={"student": recipe()["student"] | {"width": 32}})
    alike, again, wide = (compute_of(run, Statistics.of(pack)) for run in runs.values())
    assert alike == again and len(counted) == 2 * 5  # two band sets at two sizes, and the moving average
    assert wide["teacher_gmacs"]["spectral"]["s2_10"] == pytest.approx(vit_macs(16, 10, width=32) / 1e9, rel=1e-5)
