"""Terms at work: toward pixels, behind a mask, through a head of several levels, with a loss that has widths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from deo_bench.data import Places
from deo_bench.engine.train import train
from deo_bench.engine.training import Training
from deo_bench.engine.transforms import fit_transforms
from deo_bench.errors import UserError
from deo_bench.recipe import Identifier
from deo_bench.registry import Registry
from tests.tiny import recipe

Cohort = Callable[..., Any]
MASKED = {**recipe()["views"], "mask": 1.0, "mask_ratio": [0.75, 0.75]}
PIXELS = {
    "loss": "mae_pix",
    "toward": "pixels",
    "sees": "s2_10",
    "on": "late",
    "head": {"use": "decoder", "hidden": 12},
}
SWIN = {
    "use": "swin_tiny",
    "bands": ["s2_10", "rgb"],
    "width": 8,
    "depths": [1, 1, 1, 1],
    "heads": [1, 1, 2, 2],
    "window": 2,
    "size": 64,
}
LARGE = {"global": {"count": 2, "size": 64, "scale": [0.4, 1.0]}, "mask": 1.0, "mask_ratio": [0.5, 0.5]}
OPTICAL = {"spectral": {"use": "ema", "start": 0.9}, "optical": {"use": "descriptors"}}
LADDER = {
    "loss": "mse",
    "toward": "optical",
    "sees": "rgb",
    "on": ["early", "mid", "late"],
    "head": {"use": "ladder", "hidden": 6, "last_hidden": 10},
}


def step(cohort: Cohort, steps: int = 1, **change: Any) -> tuple[Training, Any, list[tuple[Any, Any, Any]]]:
    """A run after some steps, the views of the first, and what its first term's loss was given in it."""
    runs, source, frozen = cohort(a={**change})
    run = runs["a"]
    given: list[tuple[Any, Any, Any]] = []
    loss = next(iter(run.objective.work.values())).loss
    inner = loss.forward

    def spying(*call: Any) -> torch.Tensor:
        given.append(call)
        value: torch.Tensor = inner(*call)
        return value

    loss.forward = spying
    going = train(runs, source, frozen)
    for _ in range(steps):
        next(going)
    return run, source.at(0)[0], given


@pytest.mark.parametrize("target_sees", [None, "rgb"])
def test_pixels_are_the_students_normalised_input_cell_by_cell(cohort: Cohort, target_sees: str | None) -> None:
    term = PIXELS if target_sees is None else {**PIXELS, "target_sees": target_sees}
    run, views, given = step(cohort, views=MASKED, objective={"pixels": term})
    seen = target_sees or "s2_10"
    pixels = run.student.prepare(views["global"].images, seen)
    bands, patch = len(run.student.band_sets[seen]), run.student.patch
    student, target, batch = given[0]
    assert student.shape == target.shape == (2, 8, bands * patch**2, 2, 2)
    for view, image, row, column in [(0, 0, 0, 0), (1, 3, 0, 1), (0, 7, 1, 0)]:
        place = pixels[view * 8 + image, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        assert torch.equal(target[view, image, :, row, column], place.flatten())
    assert batch.mask.shape == (2, 8, 2, 2) and batch.mask.flatten(2).sum(2).eq(3).all()
    assert [*batch.pairs] == [(0, 0), (1, 1)]


def test_masked_terms_alone_make_no_pass_of_the_whole_crops(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    for others, expected in (({}, [True]), (recipe()["objective"], [False, False, True])):
        runs, source, frozen = cohort(a={"views": MASKED, "objective": {"pixels": PIXELS, **others}})
        student, masks = runs["a"].student, []
        inner = student.embed

        def embed(pixels: Any, sees: str, mask: Any = None, inner: Any = inner, masks: list[bool] = masks) -> Any:
            masks.append(mask is not None)
            return inner(pixels, sees, mask)

        monkeypatch.setattr(student, "embed", embed)
        next(iter(train(runs, source, frozen)))
        assert masks == expected
        assert student.mask_token.grad.abs().sum() > 0


def test_reconstruction_learns_what_shown_cells_tell_of_hidden_ones(cohort: Cohort) -> None:
    """Of ten bands one depends on the class, the rest is white noise: at most a tenth of the error can go."""
    views = {"global": {"count": 1, "size": 16, "scale": [1.0, 1.0]}, "mask": 1.0, "mask_ratio": [0.5, 0.5]}
    term = {**PIXELS, "normalise": False}
    runs, source, frozen = cohort(
        a={"views": views, "objective": {"pixels": term}, "train": {"steps": 60, "batch": 16, "lr": 5e-3}}
    )
    losses = [done.reports["a"].terms["pixels"] for done in train(runs, source, frozen)]
    assert 0.88 < sum(losses[-10:]) / sum(losses[:10]) < 0.96


def test_cells_are_masked_as_large_as_the_coarsest_level_that_is_looked_at(cohort: Cohort) -> None:
    mid = {**PIXELS, "on": "mid"}
    run, _, given = step(cohort, student=SWIN, views=LARGE, objective={"cells": mid, "late": PIXELS})
    mask = given[0][2].mask
    assert given[0][0].shape[-2:] == mask.shape[-2:] == (4, 4)
    coarse = mask[..., ::2, ::2]
    assert torch.equal(mask, coarse.repeat_interleave(2, -1).repeat_interleave(2, -2))
    assert coarse.flatten(2).sum(2).eq(2).all()
    assert run.student.stride("late") == 32


def test_crops_that_are_no_whole_cells_are_refused(cohort: Cohort) -> None:
    views = {**LARGE, "global": {"count": 2, "size": 40, "scale": [0.4, 1.0]}}
    with pytest.raises(UserError, match=r"objective.p: views.global.size = 40 is no multiple of 32, .* a cell of late"):
        cohort(a={"student": SWIN, "views": views, "objective": {"p": PIXELS}})
    plain = {**PIXELS, "loss": "l1"}
    with pytest.raises(UserError, match=r"views.global.size = 40 is no multiple of 32"):
        cohort(a={"student": SWIN, "views": views, "objective": {"p": plain}})


def test_a_head_of_another_width_than_pixels_have_is_refused(cohort: Cohort) -> None:
    heads = {"narrow": {"use": "linear", "width": 9}}
    with pytest.raises(UserError, match=r"late is 9 wide and the target from 'pixels' 640"):
        cohort(a={"heads": heads, "objective": {"p": {**PIXELS, "head": "narrow"}}})


def test_a_ladder_takes_all_levels_on_the_targets_grid(cohort: Cohort) -> None:
    views = {"global": LARGE["global"]}
    change = {"student": SWIN, "views": views, "teachers": OPTICAL, "objective": {"ladder": LADDER}}
    runs, source, frozen = cohort(a=change)
    run, seen, given = runs["a"], {}, []
    work = run.objective.work["ladder"]
    head = work.heads["optical", "early+mid+late"]
    head.register_forward_hook(lambda _, levels, out: seen.update(levels=levels[0], out=out))
    inner = work.loss.forward
    work.loss.forward = lambda *call: given.append(call) or inner(*call)  # type: ignore[func-returns-value]
    looked: list[Any] = []
    trunk = run.student.trunk
    run.student.trunk = lambda *call: looked.append(trunk(*call)) or looked[-1]
    next(iter(train(runs, source, frozen)))
    # The target is a map of 8 x 8 cells; the student's are 8 x 8, 4 x 4 and 2 x 2.
    assert [tuple(level.shape) for level in seen["levels"]] == [(16, width, 8, 8) for width in (16, 32, 64)]
    for place, level in zip(("early", "mid", "late"), seen["levels"], strict=True):
        expected = functional.interpolate(looked[0].maps[place], (8, 8), mode="bilinear")
        torch.testing.assert_close(level, expected)
    assert len(given) == 1, "the levels are one comparison"
    assert torch.equal(given[0][0].flatten(0, 1), seen["out"])
    assert all(p.grad is not None and p.grad.any() for p in head.parameters())


def test_a_ladder_toward_the_follower_passes_its_levels_through_the_copied_ladder(cohort: Cohort) -> None:
    term = {**LADDER, "toward": "spectral", "sees": "s2_10", "loss": "cosine", "on": ["early", "late"]}
    views = {"global": LARGE["global"]}
    run, views_seen, given = step(cohort, student=SWIN, views=views, objective={"ladder": term})
    fresh, _, _ = cohort(a={"student": SWIN, "views": views, "objective": {"ladder": term}})
    teacher = fresh["a"].teachers["spectral"]
    features = teacher(views_seen["global"].images, "s2_10", levels=("early", "late"))
    early = functional.interpolate(
        features.get("early"), features.get("late").shape[-2:], mode="bilinear", antialias=True
    )
    copied = teacher.heads["ladder:spectral:early+late"]
    torch.testing.assert_close(given[0][1].flatten(0, 1), copied([early, features.get("late")]))
    assert not torch.equal(
        run.teachers["spectral"].heads["ladder:spectral:early+late"].last[0].weight, copied.last[0].weight
    )


def test_a_ladder_of_one_level_and_of_vectors(cohort: Cohort) -> None:
    one = {**LADDER, "on": "late"}
    run, _, given = step(cohort, teachers=OPTICAL, objective={"one": one})
    assert given[0][0].shape == (2, 8, 8, 2, 2)
    vectors = {**LADDER, "on": ["default", "mean"]}
    run, _, given = step(cohort, teachers=OPTICAL, objective={"vectors": vectors})
    assert given[0][0].shape == (3, 8, run.teachers["optical"].width("mean"))


def test_a_transform_is_fitted_for_the_place_that_a_ladder_goes_to(
    cohort: Cohort, registry: Registry, tmp_path: Path
) -> None:
    term = {**LADDER, "on": ["early", "late"], "target": "channel_std"}
    runs, source, _ = cohort(a={"teachers": OPTICAL, "objective": {"ladder": term}})
    run = runs["a"]
    fit_transforms(run, source, Identifier(registry, Places(tmp_path, tmp_path)), tmp_path)
    (transform,) = run.objective.transforms.values()
    state = transform.state_dict()
    assert {tuple(value.shape) for value in state.values()} >= {(8,)}
    assert not any(torch.equal(value, torch.ones_like(value)) for value in state.values() if value.shape == (8,))


def test_each_transform_is_fitted_for_the_place_of_its_own(cohort: Cohort, registry: Registry, tmp_path: Path) -> None:
    settings = {key: value for key, value in SWIN.items() if key not in ("use", "bands")}
    teachers = {"optical": {"use": "random", "like": "swin_tiny", "settings": settings}}
    places = {"on": ["early", "late"], "target_on": ["late", "early"]}
    term = {"loss": "mse", "toward": "optical", "sees": "rgb", "target": "channel_std", **places}
    views = {"global": LARGE["global"]}
    runs, source, _ = cohort(a={"views": views, "teachers": teachers, "objective": {"each": term}})
    fit_transforms(runs["a"], source, Identifier(registry, Places(tmp_path, tmp_path)), tmp_path)
    widths = {
        key: {len(value) for value in part.state_dict().values() if value.ndim}
        for key, part in runs["a"].objective.transforms.items()
    }
    assert widths == {"each:optical:early": {64}, "each:optical:late": {16}}


@pytest.mark.parametrize(
    ("term", "widths"),
    [
        ({"loss": "vid", "toward": "optical", "sees": "rgb", "on": "late"}, (8, 8)),
        ({"loss": "vid", "toward": "spectral", "head": "views"}, (8, 8)),
        ({"loss": "codes", "toward": "optical", "sees": "rgb", "on": "late", "head": "codes"}, (5, 8)),
        ({"loss": "codes", "toward": "spectral", "head": "codes"}, (5, 5)),
        ({"loss": "denoise", "toward": "optical", "sees": "rgb", "on": "late"}, (16, 8)),
        ({"loss": "denoise", "toward": "pixels", "sees": "rgb", "on": "late"}, (16, 192)),
    ],
)
def test_a_loss_that_asks_is_given_the_widths_of_what_it_sees(
    cohort: Cohort, term: dict[str, Any], widths: tuple[int, int]
) -> None:
    heads = {**recipe()["heads"], "codes": {"use": "linear", "width": 5}}
    run, _, given = step(cohort, 3, teachers=OPTICAL, heads=heads, objective={"own": term})
    assert (given[0][0].shape[2], given[0][1].shape[2]) == widths
    loss = run.objective.work["own"].loss
    owned = {"vid": "alpha", "codes": "total", "denoise": "noised.weight"}[term["loss"]]
    assert loss.state_dict()[owned].shape[-1] == widths[1]
    if term["loss"] == "codes":
        assert loss.share.sum() > 0.5
    else:
        fresh, _, _ = cohort(a={"teachers": OPTICAL, "heads": heads, "objective": {"own": term}})
        before = fresh["a"].objective.work["own"].loss.state_dict()[owned]
        assert not torch.equal(loss.state_dict()[owned], before)


def test_places_of_several_widths_need_a_term_each_where_the_loss_has_widths(cohort: Cohort) -> None:
    term = {"loss": "denoise", "toward": "spectral", "on": ["mid", "late"]}
    with pytest.raises(UserError, match=r"objective.own: loss 'denoise' keeps something a channel.* a term for each"):
        cohort(a={"student": SWIN, "views": {"global": LARGE["global"]}, "objective": {"own": term}})


def test_a_shared_head_for_features_of_two_widths_is_refused(cohort: Cohort) -> None:
    term = {"loss": "cosine", "toward": "spectral", "on": ["mid", "late"], "head": "views"}
    with pytest.raises(UserError, match=r"head 'views' was made for features 32 wide, and these are 64"):
        cohort(a={"student": SWIN, "views": {"global": LARGE["global"]}, "objective": {"own": term}})


def test_what_has_state_and_draws_resumes_to_the_bit(cohort: Cohort) -> None:
    place = {"toward": "optical", "sees": "rgb", "on": "late"}
    change = {
        "views": MASKED,
        "teachers": OPTICAL,
        "heads": {"codes": {"use": "linear", "width": 5}},
        "objective": {
            "pixels": PIXELS,
            "vid": {"loss": "vid", **place},
            "codes": {"loss": "codes", "head": "codes", "dead": 0.6, **place},
            "denoise": {"loss": "denoise", "hidden": 8, **place},
            "ladder": {**LADDER, "on": ["early", "late"]},
        },
    }

    def state(run: Training) -> dict[str, torch.Tensor]:
        return {**run.student.state_dict(), **run.objective.state_dict()}

    runs, source, frozen = cohort(a=change)
    for done in train(runs, source, frozen):
        if done.step == 2:
            kept = runs["a"].state()
    again, source, frozen = cohort(a=change)
    again["a"].load(kept)
    for _ in train(again, source, frozen):
        pass
    assert again["a"].step == runs["a"].step == 6
    one, other = state(runs["a"]), state(again["a"])
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
