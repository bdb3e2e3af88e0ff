"""Panopticon says what torchgeo's does, which is made for one size at a time."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torchgeo.models import panopticon

from deo_bench.bands import BAND_SETS
from deo_bench.features import Images
from tests.teachers.blocks import CLOSE, REGISTRY, TINY, as_map, build, drawn, outputs_of, saved, scene
from tests.teachers.blocks import tiny as tiny

pytestmark = pytest.mark.usefixtures("tiny")
CHANNELS = [442, 493, 559, 664, 704, 740, 782, 832, 864, 945, 1373, 1613, 2202]


def library_model(side, monkeypatch):
    """torchgeo's own, for images of one size; its constructor takes timm's model as timm makes it."""
    shape = dict(TINY["panopticon"])
    channels, make = shape.pop("attn_dim"), timm.create_model
    monkeypatch.setattr(panopticon.timm, "create_model", lambda name: make(name, **shape))
    model = panopticon.Panopticon(channels, shape["embed_dim"], side)
    monkeypatch.setattr(panopticon.timm, "create_model", make)
    return drawn(model)


@torch.no_grad()
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize(("sees", "picked"), [("s2_13", list(range(13))), ("rgb", [3, 2, 1])])
@pytest.mark.parametrize("size", [(224, 224), (56, 42)])
def test_vectors_and_maps_are_those_of_the_library(size, sees, picked, normed, tmp_path, monkeypatch):
    large, model = library_model(518, monkeypatch), library_model(224, monkeypatch)
    state = {**large.model.state_dict(), "mask_token": torch.zeros(1, 24)}
    teacher = build("panopticon_vitb14", saved(state, tmp_path), levels=[0, 0, 1], normed=normed)
    grid = (size[0] // 14, size[1] // 14)
    place = panopticon.resize_abs_pos_embed(large.model.pos_embed, grid, 37)
    model.model.load_state_dict(large.model.state_dict() | {"pos_embed": model.model.pos_embed})
    model.model.pos_embed = nn.Parameter(place)
    blocks, batch = outputs_of(model.model.blocks), scene(*size)
    known = {"imgs": teacher.prepare(batch, sees), "chn_ids": torch.tensor([[CHANNELS[p] for p in picked]] * 2)}
    expected = model(known)
    said = teacher(batch, sees, levels=("early", "late"))
    torch.testing.assert_close(said.get("default"), expected, **CLOSE)
    last = model.model.norm(blocks[-1])
    torch.testing.assert_close(said.get("mean"), last[:, 1:].mean(1), **CLOSE)
    for level, tokens in zip(("early", "late"), blocks, strict=True):
        tokens = model.model.norm(tokens) if normed else tokens
        torch.testing.assert_close(said.get(level), as_map(tokens, grid), **CLOSE)


def test_shapes_are_those_of_the_library(monkeypatch):
    monkeypatch.setattr(REGISTRY.load("teacher", "panopticon_vitb14"), "overrides", {})
    with torch.device("meta"):
        theirs = panopticon.panopticon_vitb14(img_size=518).model.state_dict()
        own = REGISTRY.build("teacher", "panopticon_vitb14", False).model.state_dict()
    assert {key: value.shape for key, value in theirs.items()} == {key: own[key].shape for key in own}


def test_pixels_are_scores_of_fmow(tmp_path, monkeypatch):
    state = library_model(518, monkeypatch).model.state_dict()
    teacher = build("panopticon_vitb14", saved(state, tmp_path))
    batch = Images(torch.full((1, 13, 14, 14), 0.15), tuple(reversed(BAND_SETS["s2_13"])), "reflectance")
    whole, shown = (teacher.prepare(batch, sees)[0, :, 0, 0] for sees in ("s2_13", "rgb"))
    assert whole[0].item() == pytest.approx((1500 - 1569.1970) / 517.7932, abs=1e-4)
    assert whole[10].item() == pytest.approx((1500 - 16.7465) / 15.1294, abs=1e-3)
    assert shown[0].item() == pytest.approx((127.5 - 104.55944) / 68.97790, abs=1e-4)
