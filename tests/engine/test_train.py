"""The loop: alone or in company, stopped or not, a run ends with the same bits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deo_bench.data.view_settings import Views
from deo_bench.engine.build import Statistics, build_frozen
from deo_bench.engine.frozen import FrozenTeachers
from deo_bench.engine.train import CohortStep, Source, train
from deo_bench.engine.training import Training
from deo_bench.errors import UserError
from deo_bench.recipe import resolve
from tests.tiny import recipe

OPTICAL = {
    "teachers": {**recipe()["teachers"], "optical": {"use": "descriptors"}},
    "objective": {
        **recipe()["objective"],
        "optical": {"loss": "mse", "toward": "optical", "sees": "rgb", "head": {"use": "mlp", "hidden": 16}},
    },
}
COLLAPSING = {"objective": {"compress": recipe()["objective"]["compress"]}}
Cohort = Callable[..., Any]


def weights(run: Training) -> dict[str, torch.Tensor]:
    state = {f"student.{key}": value for key, value in run.student.state_dict().items()}
    for role, teacher in run.teachers.items():
        state |= {f"{role}.{key}": value for key, value in teacher.state_dict().items()}
    return state | {f"objective.{key}": value for key, value in run.objective.state_dict().items()}


def same(one: Training, other: Training) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def run_through(cohort: Cohort, **changes: Any) -> dict[str, Training]:
    runs, source, frozen = cohort(**changes)
    for _ in train(runs, source, frozen):
        pass
    return runs


def test_a_run_alone_and_beside_others_ends_with_the_same_bits(cohort: Cohort) -> None:
    together = run_through(cohort, a={}, b=OPTICAL, c=COLLAPSING)
    for name, change in {"a": {}, "b": OPTICAL, "c": COLLAPSING}.items():
        assert same(together[name], run_through(cohort, **{name: change})[name])
    assert not same_student(together["a"], together["b"])


def same_student(one: Training, other: Training) -> bool:
    pairs = zip(one.student.state_dict().values(), other.student.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_cells_with_the_same_student_start_equal_and_a_dropped_term_shifts_nothing(cohort: Cohort) -> None:
    runs, _, _ = cohort(a={}, b=OPTICAL)
    assert same_student(runs["a"], runs["b"])
    a, b = runs["a"].objective.heads["views"], runs["b"].objective.heads["views"]
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("stop", [1, 4])
def test_a_run_resumed_ends_with_the_same_bits_and_its_state_serves_twice(cohort: Cohort, stop: int) -> None:
    whole = run_through(cohort, a=OPTICAL)["a"]
    runs, source, frozen = cohort(a=OPTICAL)
    for done in train(runs, source, frozen):
        if done.step == stop - 1:
            break
    state = runs["a"].state()
    before = copy.deepcopy(state)
    for _ in range(2):
        again, source, frozen = cohort(a=OPTICAL)
        again["a"].load(state)
        for _ in train(again, source, frozen):
            pass
        assert same(again["a"], whole)
    assert str(before["optimiser"]["state"][0]) == str(state["optimiser"]["state"][0])


def test_seeds_differ(cohort: Cohort) -> None:
    runs, _, _ = cohort(seed=0, a={})
    other, _, _ = cohort(seed=1, a={})
    assert not same_student(runs["a"], other["a"])


def test_runs_of_a_cohort_may_stand_at_different_steps(cohort: Cohort) -> None:
    whole = run_through(cohort, a={}, b=OPTICAL)
    runs, source, frozen = cohort(a={}, b=OPTICAL)
    ahead, other_source, other_frozen = cohort(a={})
    for done in train(ahead, other_source, other_frozen):
        if done.step == 2:
            break
    runs["a"].load(ahead["a"].state())
    seen = [sorted(done.reports) for done in train(runs, source, frozen)]
    assert seen == [["b"], ["b"], ["b"], ["a", "b"], ["a", "b"], ["a", "b"]]
    assert same(runs["a"], whole["a"]) and same(runs["b"], whole["b"])


def test_gradients_reach_the_student_and_no_teacher(cohort: Cohort) -> None:
    runs, source, frozen = cohort(a=OPTICAL)
    next(iter(train(runs, source, frozen)))
    run = runs["a"]
    assert all(p.grad is not None for name, p in run.student.named_parameters() if "mask" not in name)
    for teacher in run.teachers.values():
        assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


def test_a_loss_that_is_not_finite_stops_its_run_and_the_cohort_goes_on(cohort: Cohort) -> None:
    runs, source, frozen = cohort(a={}, b=OPTICAL)

    class Broken(nn.Module):
        facts: dict[str, object] = {}

        def forward(self, *_: object) -> torch.Tensor:
            return torch.tensor(float("nan"), requires_grad=True)

    steps: list[CohortStep] = []
    for done in train(runs, source, frozen):
        steps.append(done)
        if done.step == 2:
            runs["b"].objective.terms["optical"].loss = Broken()
    assert "optical is nan at step 3" in steps[3].failed["b"] and "after step 2" in steps[3].failed["b"]
    assert [sorted(done.reports) for done in steps[3:]] == [["a"], ["a"], ["a"]]
    assert same(runs["a"], run_through(cohort, a={})["a"])


def test_the_teacher_follows_by_the_closed_form(cohort: Cohort) -> None:
    runs, source, frozen = cohort(a={})
    run = runs["a"]
    before = {key: value.clone() for key, value in run.teachers["spectral"].backbone.state_dict().items()}
    next(iter(train(runs, source, frozen)))
    # The momentum of the first step is the schedule's start, 0.9.
    for key, value in run.teachers["spectral"].backbone.state_dict().items():
        expected = 0.9 * before[key] + 0.1 * run.student.state_dict()[key]
        assert torch.allclose(value, expected, atol=1e-7), key


def test_a_step_that_breaks_off_in_the_middle_leaves_no_whole_state(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, source, frozen = cohort(a={})
    steps = train(runs, source, frozen)
    next(steps)
    assert runs["a"].is_whole

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs["a"].teachers["spectral"], "follow", stop)
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    assert not runs["a"].is_whole


def test_a_stem_without_gradient_is_noted(cohort: Cohort) -> None:
    only_optical = {**OPTICAL, "objective": {"optical": OPTICAL["objective"]["optical"]}}
    runs = run_through(cohort, a={}, b=OPTICAL, c=only_optical)
    assert runs["a"].untouched == {"rgb"}
    assert runs["b"].untouched == set()
    assert runs["c"].untouched == {"s2_10"}


def test_collapse_is_seen_where_nothing_holds_the_views_apart(cohort: Cohort) -> None:
    train_long = {"train": {"steps": 60, "batch": 16, "lr": 5e-3}}
    runs, source, frozen = cohort(a=train_long, b={**COLLAPSING, **train_long})
    last = None
    for done in train(runs, source, frozen):
        last = done
    assert last is not None
    assert last.reports["b"].spread is not None and last.reports["b"].spread.is_collapsed
    assert last.reports["a"].spread is not None and not last.reports["a"].spread.is_collapsed


def test_parts_that_use_the_rest_of_the_contracts(cohort: Cohort) -> None:
    tables = recipe()
    remembers = {**tables["objective"], "queue": {"loss": "test_queue", "toward": "spectral", "head": "views"}}
    runs = run_through(
        cohort, q={"objective": remembers}, b={"balance": {"use": "test_learned"}}, e={"balance": {"use": "test_equal"}}
    )
    assert runs["q"].objective.terms["queue"].loss.queue.abs().sum() > 0
    assert runs["b"].objective.balance.log_variance.abs().sum() > 0
    assert not same_student(runs["e"], runs["b"])


def test_a_masked_pass_is_made_for_a_loss_that_needs_one(cohort: Cohort) -> None:
    tables = recipe()
    masked = {"masked": {"loss": "test_masked", "toward": "spectral", "on": "late", "head": "none"}}
    runs = run_through(cohort, m={"objective": {**tables["objective"], **masked}})
    assert runs["m"].student.mask_token.abs().sum() > 0
    again = run_through(cohort, m={"objective": {**tables["objective"], **masked}}, a={})
    assert same(runs["m"], again["m"])


def shown_to(cohort: Cohort, **teacher: str) -> dict[str, Any]:
    """What a frozen teacher is handed in the first step, and the views that there were."""
    optical = {**OPTICAL, "teachers": {**OPTICAL["teachers"], "optical": {"use": "descriptors", **teacher}}}
    colours = {**recipe()["views"], "jitter": 1.0, "rgb_range": "max"}
    runs, source, frozen = cohort(a={**optical, "views": colours})
    run, seen = runs["a"], {}
    source.clean = True
    extract = run.teachers["optical"].extract

    def spying(pixels: torch.Tensor, sees: str, levels: tuple[str, ...]) -> Any:
        seen["pixels"] = pixels
        return extract(pixels, sees, levels)

    run.teachers["optical"].extract = spying
    next(iter(train(runs, source, frozen)))
    return {**seen, "views": source.at(0)[0], "run": run}


@pytest.mark.parametrize("views", ["augmented", "clean"])
@pytest.mark.parametrize("normalise", ["native", "student"])
def test_a_frozen_teacher_is_shown_what_its_table_says(cohort: Cohort, views: str, normalise: str) -> None:
    seen = shown_to(cohort, views=views, normalise=normalise)
    images = seen["views"]["clean" if views == "clean" else "global"].images.pick(("B04", "B03", "B02"))
    run = seen["run"]
    ways = {"native": run.teachers["optical"].normalisations["rgb"], "student": run.student.normalisations["rgb"]}
    assert torch.equal(seen["pixels"], ways[normalise].apply(images))
    assert not torch.equal(ways["native"].apply(images), ways["student"].apply(images))
    assert not torch.equal(seen["views"]["clean"].images.pixels, seen["views"]["global"].images.pixels)


def test_a_teacher_cannot_borrow_a_normalisation_that_the_student_does_not_have(cohort: Cohort) -> None:
    optical = {**OPTICAL["teachers"], "optical": {"use": "descriptors", "normalise": "student"}}
    student = {**recipe()["student"], "bands": ["s2_10"]}
    term = {**OPTICAL["objective"]["optical"], "sees": "s2_10"}
    with pytest.raises(UserError, match=r"needs a student fed B04, B03, B02; it is fed s2_10"):
        cohort(a={"teachers": optical, "student": student, "objective": {"optical": term}})


def test_a_teacher_that_keeps_stochastic_depth_repeats_and_differs_from_one_that_does_not(cohort: Cohort) -> None:
    deep = {"teachers": {"spectral": {"use": "ema", "start": 0.9, "drop_path": True}}}
    student = {"student": {**recipe()["student"], "drop_path": 0.6}}
    first = run_through(cohort, a={**deep, **student})["a"]
    torch.rand(7)  # what others draw from the global generator is no business of the run's
    assert same(run_through(cohort, a={**deep, **student}, b={})["a"], first)
    assert not same_student(run_through(cohort, a=student)["a"], first)


def test_half_precision_scales_its_loss_and_clips_the_true_gradient(cohort: Cohort) -> None:
    train_half = {"steps": 6, "batch": 8, "lr": 1e-3, "precision": "16-mixed"}
    runs, source, frozen = cohort(a={"train": train_half}, b={})
    for _ in train(runs, source, frozen):
        pass
    half, whole = runs["a"], runs["b"]
    assert half.scaler.get_scale() > 1 and whole.scaler.get_scale() == 1
    norms = [
        torch.stack([p.grad.norm() for p in run.student.parameters() if p.grad is not None]).norm().item()
        for run in (half, whole)
    ]
    assert norms[0] == pytest.approx(norms[1], rel=0.1)
    state = half.state()
    again, _, _ = cohort(a={"train": train_half})
    again["a"].load(state)
    assert again["a"].scaler.state_dict() == half.scaler.state_dict()


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_share_of_images_that_are_finer_is_what_was_asked_for(pack: Any, share: float) -> None:
    finer = np.repeat(np.repeat(pack.images[:, [2, 1, 0]], 2, -1), 2, -2).astype(np.float32) + 500
    with_finer = replace(pack, fine=finer)
    settings = {**recipe()["views"], "fine": share}
    plain, sharp = (
        Source(with_finer, Views.model_validate(table), 16, 0, torch.device("cpu"))
        for table in (recipe()["views"], settings)
    )
    for step in range(6):
        (a, indices), (b, _) = plain.at(step), sharp.at(step)
        moved = (b["global"].images.pixels - a["global"].images.pixels).view(2, 16, 10, 16, 16)
        touched = moved.abs().amax((2, 3, 4)) > 1
        assert torch.equal(touched[0], touched[1])
        assert np.array_equal(touched[0].numpy(), np.zeros(16, bool) if sharp.finer is None else sharp.finer[indices])
        assert moved[:, :, 3:].abs().max() == 0
    assert (0.0 if sharp.finer is None else sharp.finer.mean()) == pytest.approx(share, abs=0.1)


def test_finer_images_that_are_not_there_are_refused(cohort: Cohort) -> None:
    with pytest.raises(UserError, match=r"views.fine = 0.5: data 'tiny' has no finer images"):
        cohort(a={"views": {**recipe()["views"], "fine": 0.5}})


@pytest.mark.parametrize("kind", ["ten bands alone", "RGB alone", "RGB alone, optical teacher only"])
def test_rows_that_the_official_code_cannot_run(cohort: Cohort, kind: str) -> None:
    """FACTS 1.7.3: there, neither the row without the optical teacher nor any on RGB alone starts."""
    bands = ["s2_10"] if kind == "ten bands alone" else ["rgb"]
    changes: dict[str, Any] = {} if kind == "ten bands alone" else OPTICAL
    if kind.endswith("only"):
        changes = {**OPTICAL, "objective": {"optical": OPTICAL["objective"]["optical"]}}
    runs = run_through(cohort, a={**changes, "student": {**recipe()["student"], "bands": bands}})
    fresh, _, _ = cohort(a={**changes, "student": {**recipe()["student"], "bands": bands}})
    assert runs["a"].step == 6 and not same_student(runs["a"], fresh["a"])


def test_every_tensor_of_a_run_is_on_its_device(registry: Any, pack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads that a following teacher copies while the objective is built included; `meta` stands in for a GPU."""
    monkeypatch.setattr("deo_bench.engine.training.Fabric", lambda **_: None)
    monkeypatch.setattr("deo_bench.engine.training.make_optimiser", lambda *_: None)
    frozen = FrozenTeachers(lambda table: build_frozen(table, None, registry))
    run = Training(resolve(recipe(), registry, "a"), 0, Statistics.of(pack), frozen, registry, torch.device("meta"))
    assert run.teachers["spectral"].heads["views"] is not None
    for module in (run.student, run.objective, *run.teachers.values()):
        assert {value.device.type for value in module.state_dict().values()} == {"meta"}


def test_the_order_of_a_files_tables_changes_nothing(cohort: Cohort) -> None:
    turned = {key: dict(reversed(list(OPTICAL[key].items()))) for key in ("teachers", "objective")}
    drops = {"balance": {"use": "teacher_drop", "by": "batch"}}
    objective = {**OPTICAL["objective"], "expand": {**OPTICAL["objective"]["expand"]}}
    first = run_through(cohort, a={**OPTICAL, "objective": objective, **drops})["a"]
    assert same(first, run_through(cohort, a={**turned, **drops})["a"])


def test_a_target_that_does_not_fit_the_head_it_passes_is_refused(cohort: Cohort) -> None:
    student = {"use": "swin_tiny", "bands": ["s2_10"], "width": 8, "depths": [1, 1, 1, 1], "heads": [1, 1, 1, 1]}
    term = {"loss": "cosine", "toward": "spectral", "on": "late", "target_on": "mid"}
    with pytest.raises(UserError, match=r"late is 64 wide and mid of the target 32, and both pass one head"):
        cohort(a={"student": {**student, "size": 32, "window": 2}, "objective": {"maps": term}})
