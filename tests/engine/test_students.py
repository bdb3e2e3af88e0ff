"""Students with something of their own between two steps (experts' biases, a held teacher): resumed, and in company."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from deo_bench.engine.train import train
from deo_bench.engine.training import Training
from tests.engine.test_train import run_through, same
from tests.tiny import recipe

SMALL = {key: value for key, value in recipe()["student"].items() if key != "use"} | {"drop_path": 0.1}
VIEWS = {
    "global": {"count": 2, "size": 16, "scale": [0.4, 1.0]},
    "local": {"count": 1, "size": 16, "scale": [0.2, 0.4]},
}
SPARSE = {"student": {"use": "vit_moe_nano", **SMALL, "experts": 4, "bias_speed": 0.05}}
INJECTED = {"student": {"use": "vit_injected_nano", **SMALL, "teacher": "descriptors"}, "views": VIEWS}
Cohort = Callable[..., Any]


@pytest.mark.parametrize("change", [SPARSE, INJECTED], ids=["sparse", "injected"])
def test_stopped_and_resumed_it_ends_with_the_same_bits(cohort: Cohort, change: dict[str, Any]) -> None:
    whole = run_through(cohort, a=change)["a"]
    runs, source, frozen = cohort(a=change)
    for done in train(runs, source, frozen):
        if done.step == 2:
            break
    state = copy.deepcopy(runs["a"].state())
    again, source, frozen = cohort(a=change)
    again["a"].load(state)
    for _ in train(again, source, frozen):
        pass
    assert same(again["a"], whole)
    assert not same(runs["a"], whole)


@pytest.mark.parametrize("change", [SPARSE, INJECTED], ids=["sparse", "injected"])
def test_alone_or_in_company_it_is_the_same(cohort: Cohort, change: dict[str, Any]) -> None:
    other = {"views": change["views"]} if "views" in change else {}
    beside = run_through(cohort, b=other, a=change, c=copy.deepcopy(change))
    assert same(beside["a"], run_through(cohort, a=change)["a"]) and same(beside["a"], beside["c"])


def biases(run: Training) -> torch.Tensor:
    return run.student.blocks[1].mlp.bias


def test_the_experts_biases_move_each_step_and_the_teacher_follows_them(cohort: Cohort) -> None:
    runs, source, frozen = cohort(a=SPARSE)
    run = runs["a"]
    steps = train(runs, source, frozen)
    followed = torch.zeros(4)
    for _ in range(3):
        before = biases(run).clone()
        next(steps)
        moved = (biases(run) - before).abs()
        assert moved.any() and bool(((moved < 1e-6) | ((moved - 0.05).abs() < 1e-6)).all())
        assert not run.student.blocks[1].mlp.load.any()
        teacher = run.teachers["spectral"]
        followed = followed * teacher.momentum(run.step - 1, 6) + biases(run) * (1 - teacher.momentum(run.step - 1, 6))
        torch.testing.assert_close(teacher.backbone.blocks[1].mlp.bias, followed)


def test_an_expert_that_no_token_chose_does_not_stop_the_training(cohort: Cohort) -> None:
    runs, source, frozen = cohort(a={"student": {**SPARSE["student"], "bias_speed": 0.0}})
    mixture = runs["a"].student.blocks[1].mlp
    mixture.bias[2] = -100.0
    before = mixture.rise.weight.detach().clone()
    for _ in train(runs, source, frozen):
        assert mixture.rise.weight.grad[2].abs().sum() == 0
    after = mixture.rise.weight.detach()
    assert after.isfinite().all() and not after[0].equal(before[0])
    # Weight decay alone moves it.
    torch.testing.assert_close(after[2] / before[2], (after[2] / before[2]).mean().expand_as(after[2]))


def test_what_a_student_holds_is_no_part_of_its_state(cohort: Cohort) -> None:
    runs, _, frozen = cohort(a=INJECTED, b=INJECTED)
    held = [run.student.held.teacher for run in runs.values()]
    assert held[0] is held[1] and held[0] is frozen.get(runs["a"].recipe.student.teacher)
    assert runs["a"].teachers["spectral"].backbone.held.teacher is held[0]
    assert not any("held" in name for name in runs["a"].state()["student"])
