"""Balances at work: a run under any of them resumes to the bit, survives half precision, and says what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from deo_bench.draws import seed_of
from deo_bench.engine.train import train
from deo_bench.errors import UserError
from tests.engine.test_train import run_through, same
from tests.tiny import recipe

Cohort = Callable[..., Any]
TEACHERS = {**recipe()["teachers"], "optical": {"use": "descriptors"}}
TERMS = {
    "spectral": {"loss": "mse", "toward": "spectral", "head": "views"},
    "optical": {"loss": "mse", "toward": "optical", "sees": "rgb", "head": {"use": "mlp", "hidden": 16}},
    "spread": {
        "loss": "test_norm",
        "sees": "s2_10",
        "weight": {"start": 0.0, "end": 1.0, "shape": "linear"},
    },
}
BALANCES: dict[str, dict[str, Any]] = {
    "ema_norm": {},
    "uncertainty": {},
    "dwa": {"every": 2},
    "gradnorm": {},
    "pcgrad": {},
    "teacher_drop": {"by": "image"},
    "teacher_drop by batch": {"by": "batch"},
}


def changes(name: str, **more: Any) -> dict[str, Any]:
    balance = {"use": name.partition(" ")[0], **BALANCES.get(name, {})}
    return {"teachers": TEACHERS, "objective": TERMS, "balance": balance, **more}


@pytest.mark.parametrize("name", BALANCES)
def test_a_run_resumed_ends_with_the_same_bits(cohort: Cohort, name: str) -> None:
    whole = run_through(cohort, a=changes(name), b=changes("fixed"))
    runs, source, frozen = cohort(a=changes(name))
    for done in train(runs, source, frozen):
        if done.step == 2:
            break
    again, source, frozen = cohort(a=changes(name))
    again["a"].load(runs["a"].state())
    for _ in train(again, source, frozen):
        pass
    assert same(again["a"], whole["a"])
    student = zip(whole["a"].student.parameters(), whole["b"].student.parameters(), strict=True)
    assert not all(torch.equal(one, other) for one, other in student)


@pytest.mark.parametrize("name", BALANCES)
def test_half_precision_leaves_the_true_gradient(cohort: Cohort, name: str) -> None:
    """Scaled and unscaled, a balance's first gradient is that of full precision, to what fp16 keeps of it."""
    half = {"steps": 6, "batch": 8, "lr": 1e-3, "clip": None, "precision": "16-mixed"}
    runs, source, frozen = cohort(a=changes(name, train=half), b=changes(name, train={**half, "precision": "32-true"}))
    next(iter(train(runs, source, frozen)))
    flat = {
        key: torch.cat([p.grad.flatten() for p in run.student.parameters() if p.grad is not None])
        for key, run in runs.items()
    }
    assert runs["a"].scaler.get_scale() > 1
    assert flat["a"].isfinite().all()
    assert (flat["a"] - flat["b"]).norm() < 0.1 * flat["b"].norm()


def test_a_balance_is_told_of_the_step_and_draws_from_seed_and_step(cohort: Cohort) -> None:
    found, scales = [], set()
    for seed in (0, 1):
        half = {"steps": 6, "batch": 8, "lr": 1e-3, "precision": "16-mixed"}
        runs, source, frozen = cohort(seed=seed, a=changes("teacher_drop", train=half))
        balance = runs["a"].objective.balance
        shares = balance.shares

        def spying(parts: torch.Tensor, balance: Any = balance, shares: Any = shares) -> torch.Tensor:
            found.append((balance.moment.step, balance.moment.generator.initial_seed()))
            scales.add(balance.moment.scale)
            return shares(parts)  # type: ignore[no-any-return]

        balance.shares = spying
        for _ in train(runs, source, frozen):
            pass
    assert found == [(step, seed_of(seed, "balance", step)) for seed in (0, 1) for step in range(6)]
    assert scales == {2.0**16}, "what looks at gradients is not told how a loss is scaled"


def test_what_is_learned_is_trained_without_weight_decay(cohort: Cohort) -> None:
    runs, source, frozen = cohort(a=changes("uncertainty"))
    run = runs["a"]
    learned = run.objective.balance.log_variances
    (group,) = [g for g in run.optimiser.param_groups if any(p is learned for p in g["params"])]
    assert not group["decays"]
    for _ in train(runs, source, frozen):
        pass
    assert (learned != 0).all()


def by_hand(calls: list[Any]) -> torch.Tensor:
    """Cosine distances an image [B], every pair of views weighing the same: 4 of global crops, 2 of the local one."""
    assert [len(batch.pairs) for _, _, batch in calls] == [4, 2, 4, 2]
    places = []
    for number in (0, 2):
        values = [
            (1 - torch.cosine_similarity(student[v], target[u], dim=1)).flatten(1).mean(1)
            for student, target, batch in calls[number : number + 2]
            for v, u in batch.pairs
        ]
        places.append(sum(values) / 6)
    return sum(places) / 2


def test_values_an_image_are_those_of_the_loss(cohort: Cohort) -> None:
    """Their mean is the loss, over pairs, places and crops of several sizes."""
    maps = {"loss": "cosine", "toward": "spectral", "on": ["mid", "late"], "crops": "all", "pairs": "all"}
    terms = {**TERMS, "maps": {**maps, "head": "none"}}
    both = {
        "a": changes("teacher_drop", objective=terms),
        "b": changes("teacher_drop by batch", objective=terms),
    }
    runs, source, frozen = cohort(**both)
    seen: dict[str, torch.Tensor] = {}
    balance = runs["a"].objective.balance
    backward = balance.backward

    def spying(*given: Any) -> torch.Tensor:
        seen.update(balance.moment.images)
        seen["by hand"] = by_hand(runs["a"].objective.work["maps"].calls)
        return backward(*given)  # type: ignore[no-any-return]

    balance.backward = spying
    done = next(iter(train(runs, source, frozen)))
    torch.testing.assert_close(seen["maps"], seen.pop("by hand"))
    assert set(seen) == {"spectral", "optical", "maps"}
    for name, values in seen.items():
        assert values.shape == (8,) and values.std() > 0
        assert values.mean().item() == pytest.approx(done.reports["b"].terms[name], rel=1e-5)
    assert done.reports["a"].terms.keys() == done.reports["b"].terms.keys()
    assert not balance.moment.images, "a step's graph is kept"


@pytest.mark.parametrize(
    ("loss", "given"),
    [("coding_rate", {}), ("koleo", {"toward": "spectral"}), ("rkd_distance", {"toward": "spectral"})],
)
def test_dropping_by_image_is_refused_by_name_for_a_loss_without_values_an_image(
    cohort: Cohort, registry: Any, loss: str, given: dict[str, Any]
) -> None:
    if loss not in registry.all("loss"):
        pytest.skip(f"there is no loss {loss}")
    term = {"loss": loss, "toward": "spectral", "head": "views", **given}
    objective = {**TERMS, "apart": term}
    with pytest.raises(UserError, match=rf"objective.apart: .*loss '{loss}' has no value an image; say balance.by"):
        cohort(a=changes("teacher_drop", objective=objective))
    cohort(a=changes("teacher_drop by batch", objective=objective))


def test_a_loss_below_zero_ends_a_run_under_uncertainty_in_its_first_step(cohort: Cohort) -> None:
    runs, source, frozen = cohort(a={"balance": {"use": "uncertainty"}}, b={})
    steps = list(train(runs, source, frozen))
    assert "objective.compress is -" in steps[0].failed["a"] and "ema_norm" in steps[0].failed["a"]
    assert sorted(steps[-1].reports) == ["b"]
