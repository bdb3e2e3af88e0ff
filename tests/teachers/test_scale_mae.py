"""Scale-MAE says what torchgeo's does, whose positions are in metres."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torchgeo.models import scale_mae

from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError
from deo_bench.features import Images
from tests.teachers.blocks import CLOSE, REGISTRY, TINY, as_map, build, drawn, outputs_of, saved, scene
from tests.teachers.blocks import tiny as tiny

pytestmark = pytest.mark.usefixtures("tiny")
NORM = partial(nn.LayerNorm, eps=1e-6)


def library_model(side, metres):
    shape = {"patch_size": 16, "num_classes": 0, "norm_layer": NORM, **TINY["scalemae"]}
    return drawn(scale_mae.ScaleMAE(metres, img_size=side, **shape))


@torch.no_grad()
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("metres", [1.0, 10.0])
@pytest.mark.parametrize("side", [224, 64])
def test_vectors_and_maps_are_those_of_the_library(side, metres, normed, tmp_path):
    model = library_model(side, metres)
    state = {name: value for name, value in model.state_dict().items() if name != "pos_embed"}
    options = {"levels": [0, 0, 1], "normed": normed, "resolution": metres}
    teacher = build("scalemae_vitl16", saved(state, tmp_path), **options)
    blocks, batch = outputs_of(model.blocks), scene(side, side)
    tokens = model.forward_features(teacher.prepare(batch))
    said = teacher(batch, levels=("early", "late"))
    torch.testing.assert_close(said.get("default"), model.forward_head(tokens, pre_logits=True), **CLOSE)
    torch.testing.assert_close(said.get("mean"), tokens[:, 1:].mean(1), **CLOSE)
    for level, values in zip(("early", "late"), blocks, strict=True):
        values = model.norm(values) if normed else values
        torch.testing.assert_close(said.get(level), as_map(values, (side // 16,) * 2), **CLOSE)


@torch.no_grad()
def test_an_oblong_has_the_positions_of_the_square_around_it(tmp_path):
    model = library_model(64, 2.0)
    teacher = build("scalemae_vitl16", saved(model.state_dict() | {"pos_embed": torch.zeros(1, 197, 24)}, tmp_path))
    teacher.metres = 2.0
    pixels = teacher.prepare(scene(64, 64))
    square, oblong = teacher._tokens(pixels, "rgb", [4, 4]), teacher._tokens(pixels[:, :, :32], "rgb", [2, 4])
    torch.testing.assert_close(oblong, square[:, :9], **CLOSE)
    tall = teacher._tokens(pixels[..., :32], "rgb", [4, 2])
    expected = square[:, 1:].unflatten(1, (4, 4))[:, :, :2].flatten(1, 2)
    torch.testing.assert_close(tall[:, 1:], expected, **CLOSE)


def test_every_block_has_to_be_there_and_the_decoder_may(tmp_path):
    state = {name: value for name, value in library_model(224, 1.0).state_dict().items() if "pos" not in name}
    extra = {**state, "decoder_blocks.0.weight": torch.zeros(2), "head.bias": torch.zeros(3)}
    loaded = build("scalemae_vitl16", saved(extra, tmp_path)).model.state_dict()
    assert all(loaded[name].equal(state[name]) for name in state)
    del state["blocks.1.norm1.weight"]
    with pytest.raises(UserError, match="lacks blocks.1.norm1.weight"):
        build("scalemae_vitl16", saved(state, tmp_path))


def test_shapes_are_those_of_the_library(monkeypatch):
    monkeypatch.setattr(REGISTRY.load("teacher", "scalemae_vitl16"), "overrides", {})
    with torch.device("meta"):
        theirs = scale_mae.scalemae_large_patch16(num_classes=0).state_dict()
        own = REGISTRY.build("teacher", "scalemae_vitl16", False).model.state_dict()
    assert {key: value.shape for key, value in theirs.items()} == {key: own[key].shape for key in own}


def test_rgb_is_shown_and_normalised_as_imagenet(tmp_path):
    teacher = build("scalemae_vitl16", saved(library_model(224, 1.0).state_dict(), tmp_path), white=0.4)
    batch = Images(torch.full((1, 13, 16, 16), 0.2), tuple(reversed(BAND_SETS["s2_13"])), "reflectance")
    found = teacher.prepare(batch)[0, :, 0, 0].tolist()
    expected = [(0.5 - mean) / std for mean, std in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert found == pytest.approx(expected, abs=1e-5)
