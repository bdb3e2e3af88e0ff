"""Views that are RGB alone at random: tokens exchanged before the trunk, for the student and for who follows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from deo_bench.data.view_settings import Views as ViewSettings
from deo_bench.engine.passes import Views, draw_modality, student_passes
from deo_bench.engine.train import train
from deo_bench.engine.training import Training
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.recipe import resolve
from deo_bench.registry import Registry
from tests.contract.backbones import images, small_student
from tests.engine.test_train import run_through, same
from tests.tiny import recipe

Cohort = Callable[..., Any]


def with_rgb(share: float) -> dict[str, Any]:
    return {"views": {**recipe()["views"], "rgb": share}}


def shown(views: int = 2, batch: int = 3) -> Views:
    given = images(32, 32, views * batch)
    return Views(given, views)


def test_it_is_drawn_from_seed_group_view_and_step() -> None:
    given, settings = Views(Images(torch.zeros(2000, 1, 1, 1), ("B04",), "dn"), 2), ViewSettings(rgb=0.3)
    drawn = draw_modality(settings, given, "global", 0, 5)
    assert drawn is not None and drawn.shape == (2000,) and abs(float(drawn.float().mean()) - 0.3) < 0.04
    first, second = drawn.view(2, -1)
    assert not first.equal(second)
    for other in (("local", 0, 5), ("global", 1, 5), ("global", 0, 6)):
        assert not drawn.equal(draw_modality(settings, given, *other))
    half = draw_modality(settings, Views(Images(torch.zeros(1000, 1, 1, 1), ("B04",), "dn"), 1), "global", 0, 5)
    assert half.equal(first), "a view's draw depends on the number of views"
    assert draw_modality(ViewSettings(), given, "global", 0, 5) is None


@torch.no_grad()
@pytest.mark.parametrize("bands", [("s2_10",), ("rgb", "s2_10"), ("rgb",)])
def test_an_image_that_shows_rgb_alone_has_the_features_of_rgb(bands: tuple[str, ...]) -> None:
    student, views = small_student("vit_nano").eval(), shown()
    alone = torch.tensor([True, False, True, False, False, True])
    levels = {"s2_10": ("late",), "rgb": ("late",)}
    mixed = student_passes(student, views, bands, levels, alone=alone)
    for sees in bands:
        for place in ("mean", "late"):
            own = student(views.images, sees, levels=("late",)).get(place)
            rgb = student(views.images, "rgb", levels=("late",)).get(place)
            found = mixed[sees].features.get(place)
            torch.testing.assert_close(found[alone], rgb[alone], rtol=1e-5, atol=2e-6)
            torch.testing.assert_close(found[~alone], own[~alone], rtol=1e-5, atol=2e-6)


def test_the_trunk_sees_as_many_images_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    student, seen = small_student("vit_nano"), []
    trunk = student.trunk
    monkeypatch.setattr(student, "trunk", lambda tokens, levels: seen.append(len(tokens)) or trunk(tokens, levels))
    student_passes(student, shown(), ("s2_10",), {}, alone=torch.ones(6, dtype=torch.bool))
    assert seen == [6]


def only_rgb(run: Training) -> bool:
    """Whether nothing has reached the ten bands' stem."""
    return run.untouched == {"s2_10"}


def test_always_rgb_trains_the_stem_of_rgb_alone(cohort: Cohort) -> None:
    runs = run_through(cohort, always=with_rgb(1.0), sometimes=with_rgb(0.5), never=with_rgb(0.0))
    assert only_rgb(runs["always"]) and runs["never"].untouched == {"rgb"} and not runs["sometimes"].untouched


def test_off_it_leaves_every_bit_and_on_it_can_be_repeated(cohort: Cohort) -> None:
    plain = run_through(cohort, a={})["a"]
    assert same(plain, run_through(cohort, a=with_rgb(0.0))["a"])
    some = run_through(cohort, a=with_rgb(0.4))["a"]
    assert not same(plain, some) and same(
        some, run_through(cohort, a=with_rgb(0.4), b={"views": with_rgb(0.4)["views"]})["a"]
    )


def test_the_following_teacher_sees_what_the_student_sees(cohort: Cohort) -> None:
    runs, source, _ = cohort(a=with_rgb(0.5))
    run = runs["a"]
    views, _ = source.at(0)
    alone = draw_modality(run.recipe.views, views["global"], "global", run.seed, 0)
    assert alone is not None and alone.any() and not alone.all()
    found = run._targets(views)["spectral", "compress"].features.get("mean")
    with torch.no_grad():
        teacher = run.teachers["spectral"]
        rgb, own = (teacher(views["global"].images, sees).get("mean") for sees in ("rgb", "s2_10"))
    torch.testing.assert_close(found, torch.where(alone[:, None], rgb, own), rtol=1e-5, atol=2e-6)
    assert not torch.allclose(found, own, atol=1e-4)


def test_a_resumed_run_draws_the_same(cohort: Cohort) -> None:
    whole = run_through(cohort, a=with_rgb(0.5))["a"]
    runs, source, frozen = cohort(a=with_rgb(0.5))
    for done in train(runs, source, frozen):
        if done.step == 2:
            break
    again, source, frozen = cohort(a=with_rgb(0.5))
    again["a"].load(runs["a"].state())
    for _ in train(again, source, frozen):
        pass
    assert same(again["a"], whole)


@pytest.mark.parametrize("bands", [["s2_10"], ["rgb"]])
def test_a_student_of_one_band_set_is_refused(bands: list[str]) -> None:
    student = {**recipe()["student"], "bands": bands}
    with pytest.raises(UserError, match=f"views.rgb: .* it is fed {bands[0]}"):
        resolve(recipe(student=student, **with_rgb(0.5)), Registry(), "tiny")
