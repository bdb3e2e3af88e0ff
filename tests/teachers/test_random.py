"""The untrained control: of any architecture, the same for a seed, and not constant."""

from __future__ import annotations

import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.teachers._vit import TimmVit
from tests.contract.backbones import REGISTRY, SMALL_VIT, images


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(TimmVit, "overrides", SMALL_VIT)


def build(**options):
    return REGISTRY.build("teacher", "random", options=options)


@pytest.mark.parametrize("like", ["dinov2_vitb14", "dinov3_vitb16", "vit_nano"])
def test_a_seed_is_a_backbone(like):
    batch = images(112, 112)
    before = torch.random.get_rng_state()
    same = [build(like=like)(batch).get("default") for _ in range(2)]
    assert torch.random.get_rng_state().equal(before), "nothing else's draws move"
    assert same[0].equal(same[1])
    assert not torch.allclose(build(like=like, seed=1)(batch).get("default"), same[0])


@pytest.mark.parametrize("like", ["dinov2_vitb14", "dinov3_vitb16"])
def test_the_class_token_depends_on_the_image(like):
    said = build(like=like)(images(112, 112, count=4)).get("cls")
    assert said.std(0).mean() > 0.01 * said.std(1).mean()


def test_it_has_the_bands_normalisation_and_levels_of_its_model():
    control, model = build(like="dinov3_vitb16"), REGISTRY.build("teacher", "dinov3_vitb16", False)
    for declared in ("band_sets", "normalisations", "levels", "pooled_dims", "default"):
        assert getattr(control, declared) == getattr(model, declared)
    assert build(like="dinov3_vitb16", settings={"size": 224}).backbone.size == 224


@pytest.mark.parametrize("like", ["ema", "run", "descriptors", "dinov3_vitb61"])
def test_it_is_like_what_has_weights(like):
    with pytest.raises(UserError, match=f"cannot be like '{like}'"):
        build(like=like)
