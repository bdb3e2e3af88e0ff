"""Recipes resolved: defaults, what is dropped, and one line for what does not fit."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deo_bench.errors import UserError
from deo_bench.recipe import resolve
from deo_bench.registry import Registry
from tests.tiny import recipe


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def with_optical(**term: Any) -> dict[str, Any]:
    tables = recipe()
    tables["teachers"] = {**tables["teachers"], "optical": {"use": "descriptors"}}
    optical = {"loss": "cosine", "toward": "optical", "sees": "rgb", **term}
    tables["objective"] = {**tables["objective"], "optical": optical}
    return tables


def test_defaults_follow_the_loss_and_the_place(registry: Registry) -> None:
    tables = with_optical()
    tables["teachers"]["optical"] = {"use": "dinov3_vitb16"}
    tables["objective"]["maps"] = {"loss": "cosine", "toward": "optical", "sees": "rgb", "on": ["mid", "late"]}
    made = resolve(tables, registry)
    compress, expand = made.objective["compress"], made.objective["expand"]
    assert (compress.pairs, compress.crops, compress.sees) == ("cross", "all", "s2_10")
    assert (expand.pairs, expand.crops, expand.weight) == ("same", "global", 1.0)
    assert (made.objective["optical"].pairs, made.objective["optical"].crops) == ("cross", "all")
    assert (made.objective["maps"].pairs, made.objective["maps"].crops) == ("same", "global")
    assert made.objective["maps"].target_on == ("mid", "late")
    assert made.objective["optical"].head is not None and compress.head == "views"


def test_terms_of_weight_zero_or_toward_no_teacher_are_dropped_with_what_only_they_used(registry: Registry) -> None:
    tables = with_optical(weight=0)
    assert resolve(tables, registry) == resolve(recipe(), registry)
    tables = with_optical()
    tables["teachers"]["optical"] = {"use": "none"}
    assert resolve(tables, registry) == resolve(recipe(), registry)


def test_dropping_a_term_leaves_the_weights_of_the_others(registry: Registry) -> None:
    tables = with_optical(weight=0.25)
    both = resolve(tables, registry)
    tables["objective"]["compress"]["weight"] = 0
    one = resolve(tables, registry)
    assert one.objective["optical"] == both.objective["optical"]
    assert one.objective["expand"] == both.objective["expand"]
    assert "compress" not in one.objective


def test_without_terms_every_recipe_of_a_student_is_one(registry: Registry) -> None:
    tables = recipe(objective={})
    other = copy.deepcopy(tables)
    other["train"]["steps"] = 99
    other["views"]["global"]["size"] = 24
    assert resolve(tables, registry) == resolve(other, registry)
    assert resolve(tables, registry).is_untrained


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"objectiv": {}}, "unknown table [objectiv], did you mean 'objective'"),
        ({"student": {"use": "vit_nono", "bands": ["rgb"]}}, "did you mean 'vit_nano'"),
        ({"student": {"use": "vit_nano"}}, "student.bands"),
        ({"student": {"use": "vit_nano", "bands": ["s2_11"]}}, "unknown band set 's2_11', did you mean 's2_1"),
        ({"student": {"use": "vit_nano", "bands": ["rgb"], "dept": 3}}, "no option 'dept', did you mean 'depth'"),
        ({"student": {"use": "vit_nano", "bands": ["rgb"], "depth": "x"}}, "student.depth"),
        ({"train": {"step": 3}}, "train.step: unknown key, did you mean 'steps'"),
        ({"train": {"batch": 1}}, "train.batch"),
        ({"train": {"lr": -1.0}}, "train.lr"),
        ({"views": {"global": {"count": 2, "size": 16, "scale": [1.0, 0.4]}}}, "views.global"),
        ({"teachers": {"spectral": {"use": "emma"}}}, "did you mean 'ema'"),
        ({"teachers": {"student": {"use": "ema"}}}, "has a meaning of its own"),
        ({"teachers": {"spectral": {"use": "ema", "start": "high"}}}, "teachers.spectral.start"),
        ({"heads": {"views": {"use": "mlp"}}}, "needs width"),
        ({"objective": {"a": {"loss": "cosine"}}}, "objective.a.toward: loss 'cosine' needs a target"),
        ({"objective": {"a": {"loss": "cosine", "toward": "spectre"}}}, "did you mean 'spectral'"),
        ({"objective": {"a": {"loss": "cosin", "toward": "spectral"}}}, "did you mean 'cosine'"),
        ({"objective": {"a": {"loss": "coding_rate", "toward": "spectral", "on": "late"}}}, "takes pooled"),
        ({"objective": {"a": {"loss": "mse", "toward": "spectral", "on": ["late", "cls"]}}}, "a term for each"),
        ({"objective": {"a": {"loss": "mse", "toward": "spectral", "sees": "s2_13"}}}, "fed no 's2_13'"),
        ({"objective": {"a": {"loss": "mse", "toward": "spectral", "head": "view"}}}, "did you mean 'views'"),
        ({"objective": {"a": {"loss": "mse", "toward": "spectral", "pairs": "some"}}}, "objective.a.pairs"),
        ({"objective": {"a": {"loss": "mse", "toward": "spectral", "weight": {"start": 1}}}}, "weight.end"),
        ({"objective": {"a": {"loss": "mse", "toward": "spectral", "eps": 1}}}, "no option 'eps'"),
        ({"balance": {"use": "fix"}}, "did you mean 'fixed'"),
        ({"data": 3}, "data: expected a name or a table"),
    ],
)
def test_what_does_not_fit_is_one_line_with_the_place(registry: Registry, change: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as error:
        resolve(recipe(**change), registry, "file.toml")
    assert told in str(error.value) and str(error.value).startswith("file.toml: ")
    assert "\n" not in str(error.value)


LADDER = {"loss": "mse", "toward": "optical", "sees": "rgb", "on": ["early", "late"], "head": {"use": "ladder"}}
PIXELS = {"loss": "mae_pix", "toward": "pixels", "on": "late"}


def test_a_ladder_has_one_target_place_unless_its_target_passes_it_too(registry: Registry) -> None:
    tables = with_optical()
    tables["heads"]["shared"] = {"use": "ladder", "width": 9}
    shared = {**LADDER, "head": "shared", "target_on": "mid"}
    follower = {**LADDER, "toward": "spectral", "sees": "s2_10"}
    itself = {**LADDER, "toward": "student", "target_sees": "s2_10"}
    tables["objective"] = {"own": LADDER, "shared": shared, "follower": follower, "itself": itself}
    made = resolve(tables, registry).objective
    assert made["own"].on == ("early", "late")
    where = [made[name].target_on for name in tables["objective"]]
    assert where == [("late",), ("mid",), ("early", "late"), ("early", "late")]


def test_pixels_have_a_head_and_the_pairs_of_maps(registry: Registry) -> None:
    made = resolve(recipe(objective={"pixels": PIXELS}), registry).objective["pixels"]
    assert (made.toward, made.pairs, made.crops, made.target_on) == (("pixels",), "same", "global", ("late",))
    assert made.head is not None
    assert not resolve(recipe(objective={"pixels": PIXELS}), registry).teachers


@pytest.mark.parametrize(
    ("term", "told"),
    [
        ({**LADDER, "target_on": ["early", "late"]}, "objective.a.target_on: one place, which the head takes all of"),
        ({**LADDER, "toward": ["optical", "spectral"]}, "objective.a.toward: the head 'ladder' takes all levels"),
        ({**LADDER, "toward": "spectral", "target_on": "late"}, "objective.a.target_on: as many places as in `on` (2)"),
        ({**PIXELS, "loss": "l1", "on": "default"}, "objective.a.on: pixels are reconstructed cell by cell; say on = "),
        ({**PIXELS, "toward": ["pixels", "spectral"]}, "objective.a.toward: 'pixels' stands alone"),
        ({**PIXELS, "target": "channel_std"}, "objective.a.target: 'channel_std' is fitted on a teacher's features"),
        ({**PIXELS, "target_sees": "s2_13"}, "objective.a.target_sees: the student is fed no 's2_13'"),
        ({**PIXELS, "crops": "all"}, "objective.a.crops: loss 'mae_pix' needs masked crops"),
        ({**PIXELS, "toward": "pixel"}, "objective.a.toward: unknown role 'pixel', did you mean 'pixels'"),
        ({"loss": "mae_pix", "on": "late"}, "objective.a.toward: loss 'mae_pix' needs a target"),
    ],
)
def test_ladders_and_pixels_that_do_not_fit_are_one_line(registry: Registry, term: dict[str, Any], told: str) -> None:
    tables = with_optical()
    tables["objective"] = {"a": term}
    with pytest.raises(UserError) as error:
        resolve(tables, registry, "file.toml")
    assert told in str(error.value) and "\n" not in str(error.value)


def test_no_teacher_is_called_pixels(registry: Registry) -> None:
    with pytest.raises(UserError, match="teachers.pixels: 'pixels' has a meaning of its own"):
        resolve(recipe(teachers={"pixels": {"use": "ema"}}), registry)


def test_how_a_file_orders_its_tables_changes_nothing(registry: Registry) -> None:
    tables = with_optical()
    turned = {key: dict(reversed(list(table.items()))) for key, table in tables.items()}
    one, other = resolve(tables, registry), resolve(turned, registry)
    assert list(one.objective) == list(other.objective) == sorted(one.objective)
    assert list(one.teachers) == list(other.teachers) == sorted(one.teachers)
